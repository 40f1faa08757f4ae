// Package cells is what the Go programs of the table have in common: they are told cells, and say of each whether it passed.
package cells

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Brokers are the HOST:PORT of each.
var Brokers = strings.Split(os.Args[1], ",")

// ReplicationFactor is that of the topics that a cell creates: each of them is on every broker.
var ReplicationFactor = int16(len(Brokers))

// Codecs are all that Kafka has.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Record is what the cells send and expect back; all of a codec's go to partition 0.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Partition  int
}

type Header struct {
	Key   string
	Value []byte
}

// Run does the cells that the second argument lists at the same time, each with its function, which panics where it fails: most
// of theirs they spend waiting, for example until a fetch of kafka-go, which no Close ends, comes back after ten seconds. The
// version is that of the module as it was compiled in.
func Run(module string, named map[string]func()) {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == module {
			print(map[string]string{"version": strings.TrimPrefix(dependency.Version, "v")})
		}
	}
	cells := strings.Split(os.Args[2], ",")
	failures := make([]any, len(cells))
	var running sync.WaitGroup
	for i, cell := range cells {
		running.Go(func() { failures[i] = failureOf(named[cell]) })
	}
	running.Wait()
	for i, cell := range cells {
		said := map[string]string{"cell": cell}
		if failures[i] != nil {
			said["failure"] = fmt.Sprint(failures[i])
		}
		print(said)
	}
}

func print(what map[string]string) {
	line, err := json.Marshal(what)
	Check(err)
	fmt.Println(string(line))
}

func failureOf(do func()) (failure any) {
	defer func() { failure = recover() }()
	do()
	return nil
}

// Check panics with an error.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must is the value of what did not fail.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Assert panics unless it is true.
func Assert(true bool, format string, args ...any) {
	if !true {
		panic(fmt.Sprintf(format, args...))
	}
}

// Soon is the time that a call may take.
func Soon() context.Context {
	within, end := context.WithCancel(context.Background())
	time.AfterFunc(time.Minute, end)
	return within
}

// Until returns once done() is true.
func Until(done func() bool, what string) {
	for deadline := time.Now().Add(90 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		Assert(time.Now().Before(deadline), "after 90 s not %s", what)
	}
}

// Records are the 50 of a codec: keys, values of which every fifth is null, and headers.
func Records() []Record {
	records := make([]Record, 50)
	for i := range records {
		records[i] = Record{
			Key:     fmt.Appendf(nil, "k%d", i),
			Headers: []Header{{"h", []byte(strconv.Itoa(i))}, {"none", nil}},
		}
		if i%5 != 4 {
			records[i].Value = []byte(strings.Repeat(fmt.Sprintf("value %d ", i), 20))
		}
	}
	return records
}

// Numbers are records with the numbers below count, spread over the partitions.
func Numbers(count, partitions int) []Record {
	records := make([]Record, count)
	for i := range records {
		records[i] = Record{Value: []byte(strconv.Itoa(i)), Partition: i % partitions}
	}
	return records
}

// Large is the record of 900 KB.
func Large() []Record {
	value := make([]byte, 900_000)
	for i := range value {
		value[i] = byte(i * 7 % 251)
	}
	return []Record{{Value: value}}
}

// TooLarge is a record that a topic with a limit of 10,000 bytes does not take, however it is compressed.
func TooLarge() []Record {
	value := make([]byte, 20_000)
	random := rand.NewChaCha8([32]byte{})
	Must(random.Read(value))
	return []Record{{Value: value}}
}

// DeleteBefore deletes the records of partition 0 before an offset, which not every client can.
func DeleteBefore(topic string, offset int64) {
	client := Must(kgo.NewClient(kgo.SeedBrokers(Brokers...)))
	defer client.Close()
	admin := kadm.NewClient(client)
	Check(Must(admin.DeleteRecords(Soon(), kadm.Offsets{topic: {0: {Topic: topic, At: offset}}})).Error())
}

// Text is one record.
func Text(value string) []Record {
	return []Record{{Value: []byte(value)}}
}

// AssertSame panics unless both are the same, null and empty being two things.
func AssertSame(got, sent []Record) {
	Assert(len(got) == len(sent), "%d records instead of %d", len(got), len(sent))
	for i := range sent {
		same := equal(got[i].Key, sent[i].Key) && equal(got[i].Value, sent[i].Value) && len(got[i].Headers) == len(sent[i].Headers)
		for h := 0; same && h < len(sent[i].Headers); h++ {
			same = got[i].Headers[h].Key == sent[i].Headers[h].Key && equal(got[i].Headers[h].Value, sent[i].Headers[h].Value)
		}
		Assert(same, "record %d came back as %+v instead of %+v", i, got[i], sent[i])
	}
}

func equal(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

// AssertNumbers panics unless the records have the numbers below count, once each in any order.
func AssertNumbers(records []Record, count int) {
	var numbers []int
	for _, record := range records {
		numbers = append(numbers, Must(strconv.Atoi(string(record.Value))))
	}
	sort.Ints(numbers)
	Assert(len(numbers) == count, "%d records instead of %d", len(numbers), count)
	for i, number := range numbers {
		Assert(number == i, "record %d is missing or there twice", i)
	}
}
