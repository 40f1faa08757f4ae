// Every cell of the table for franz-go, with its default settings but for what a cell is about.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	. "varve/clients/cells"
)

const name = "franz-go-"

var admin = kadm.NewClient(client())

func client(options ...kgo.Opt) *kgo.Client {
	return Must(kgo.NewClient(append(options, kgo.SeedBrokers(Brokers...))...))
}

func create(topic string, partitions int32) string {
	Must(admin.CreateTopic(Soon(), partitions, ReplicationFactor, nil, name+topic))
	return name + topic
}

func produce(topic string, records []Record, options ...kgo.Opt) {
	Check(deliver(topic, records, options...))
}

func deliver(topic string, records []Record, options ...kgo.Opt) error {
	producer := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer producer.Close()
	var sent []*kgo.Record
	for _, record := range records {
		each := &kgo.Record{Topic: topic, Key: record.Key, Value: record.Value, Partition: int32(record.Partition)}
		for _, header := range record.Headers {
			each.Headers = append(each.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
		sent = append(sent, each)
	}
	return producer.ProduceSync(Soon(), sent...).FirstErr()
}

// A member polls on its own, and knows what it has been assigned and read.
type member struct {
	*kgo.Client
	mutex    sync.Mutex
	assigned map[int32]bool
	records  []Record
}

func consume(options func(*member) []kgo.Opt) *member {
	m := &member{assigned: map[int32]bool{}}
	m.Client = client(options(m)...)
	go func() {
		for {
			fetches := m.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			m.mutex.Lock()
			fetches.EachRecord(func(record *kgo.Record) {
				read := Record{Key: record.Key, Value: record.Value}
				for _, header := range record.Headers {
					read.Headers = append(read.Headers, Header{Key: header.Key, Value: header.Value})
				}
				m.records = append(m.records, read)
			})
			m.mutex.Unlock()
		}
	}()
	return m
}

func (m *member) read() []Record {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return append([]Record(nil), m.records...)
}

func (m *member) partitions() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.assigned)
}

func join(group, topic string, reset kgo.Offset, options ...kgo.Opt) *member {
	return consume(func(m *member) []kgo.Opt {
		return append(options,
			kgo.ConsumerGroup(name+group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(reset),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
				m.mutex.Lock()
				defer m.mutex.Unlock()
				for _, partition := range given[topic] {
					m.assigned[partition] = true
				}
			}),
			kgo.OnPartitionsRevoked(func(within context.Context, client *kgo.Client, taken map[string][]int32) {
				// What it does itself where it has no such callback.
				Check(client.CommitUncommittedOffsets(within))
				m.mutex.Lock()
				defer m.mutex.Unlock()
				for _, partition := range taken[topic] {
					delete(m.assigned, partition)
				}
			}),
		)
	})
}

func readAll(topic string, count int) []Record {
	reader := consume(func(*member) []kgo.Opt {
		return []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})}
	})
	defer reader.Close()
	Until(func() bool { return len(reader.read()) >= count }, "all records")
	return reader.read()
}

func codec(codec string, compression kgo.CompressionCodec) func() {
	return func() {
		topic := create(codec, 1)
		produce(topic, Records(), kgo.ProducerBatchCompression(compression))
		AssertSame(readAll(topic, 50), Records())
	}
}

func large() {
	topic := create("large", 1)
	produce(topic, Large())
	AssertSame(readAll(topic, 1), Large())
	limit := "10000"
	Must(admin.CreateTopic(Soon(), 1, ReplicationFactor, map[string]*string{"max.message.bytes": &limit}, name+"small"))
	refused := deliver(name+"small", TooLarge())
	Assert(errors.Is(refused, kerr.MessageTooLarge), "20 KB: %v", refused)
	produce(name+"small", Text("small"))
	AssertSame(readAll(name+"small", 1), Text("small"))
}

// Its producer is idempotent unless it is told otherwise.
func idempotent() {
	topic := create("idempotent", 1)
	produce(topic, Numbers(500, 1))
	AssertSame(readAll(topic, 500), Numbers(500, 1))
}

func group() {
	topic := create("group", 6)
	var members []*member
	share := func(each int) {
		Until(func() bool {
			for _, m := range members {
				if m.partitions() != each {
					return false
				}
			}
			return true
		}, "the same number of partitions for each")
	}
	read := func() (records []Record) {
		for _, m := range members {
			records = append(records, m.read()...)
		}
		return records
	}
	for _, each := range []int{6, 3, 2} {
		members = append(members, join("three", topic, kgo.NewOffset().AtStart()))
		share(each)
	}
	produce(topic, Numbers(60, 6))
	Until(func() bool { return len(read()) >= 60 }, "all records")
	AssertNumbers(read(), 60)
	members[2].Close()
	members = members[:2]
	share(3)
	for _, m := range members {
		m.Close()
	}
	produce(topic, Text("after"))
	late := join("three", topic, kgo.NewOffset().AtStart())
	defer late.Close()
	Until(func() bool { return len(late.read()) > 0 }, "the last record")
	AssertSame(late.read(), Text("after"))
}

func reset() {
	topic := create("reset", 1)
	produce(topic, Text("before"))
	earliest := join("earliest", topic, kgo.NewOffset().AtStart())
	Until(func() bool { return len(earliest.read()) > 0 }, "a record from the start")
	AssertSame(earliest.read(), Text("before"))
	earliest.Close()
	latest := join("latest", topic, kgo.NewOffset().AtEnd())
	defer latest.Close()
	Until(func() bool { return latest.partitions() == 1 }, "assigned")
	// It tells of no position before its first record, so there is one more until one arrives.
	Until(func() bool {
		produce(topic, Text("after"))
		return len(latest.read()) > 0
	}, "a record from the end")
	AssertSame(latest.read()[:1], Text("after"))
	// What a group has committed may be gone.
	produce(topic, Text("kept"))
	end := Must(admin.ListEndOffsets(Soon(), topic))[topic][0].Offset
	DeleteBefore(topic, end-1)
	late := join("earliest", topic, kgo.NewOffset().AtStart())
	defer late.Close()
	Until(func() bool { return len(late.read()) > 0 }, "what is left")
	AssertSame(late.read(), Text("kept"))
}

func administration() {
	topic := create("admin", 2)
	partitions := func() int { return len(Must(admin.ListTopics(Soon(), topic))[topic].Partitions) }
	Assert(partitions() == 2, "not 2 partitions")
	Check(Must(admin.CreatePartitions(Soon(), 1, topic)).Error())
	Assert(partitions() == 3, "not 3 partitions")
	value := "12345"
	changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	for _, changed := range Must(admin.AlterTopicConfigs(Soon(), changes, topic)) {
		Check(changed.Err)
	}
	configs := Must(Must(admin.DescribeTopicConfigs(Soon(), topic)).On(topic, nil))
	found := false
	for _, config := range configs.Configs {
		found = found || config.Key == "retention.ms" && config.MaybeValue() == value
	}
	Assert(found, "retention.ms is not as it was set: %v", configs)
	before := time.Now().UnixMilli()
	produce(topic, Numbers(6, 1))
	assertOffset := func(listed kadm.ListedOffsets, err error, offset int64) {
		Check(err)
		Assert(listed[topic][0].Offset == offset, "%v instead of %d", listed[topic][0], offset)
	}
	listed, err := admin.ListEndOffsets(Soon(), topic)
	assertOffset(listed, err, 6)
	listed, err = admin.ListOffsetsAfterMilli(Soon(), before-1, topic)
	assertOffset(listed, err, 0)
	deleted := Must(admin.DeleteRecords(Soon(), kadm.Offsets{topic: {0: {Topic: topic, At: 2}}}))[topic][0]
	Check(deleted.Err)
	Assert(deleted.LowWatermark == 2, "%v", deleted)
	listed, err = admin.ListStartOffsets(Soon(), topic)
	assertOffset(listed, err, 2)
	first := kadm.TopicsSet{topic: {0: {}}}
	for broker, directories := range Must(admin.DescribeAllLogDirs(Soon(), first)) {
		_, there := directories.LookupPartition(topic, 0)
		Assert(there, "the partition is in no directory of broker %d", broker)
	}
	producers := Must(admin.DescribeProducers(Soon(), first)).SortedProducers()
	Assert(len(producers) == 1 && producers[0].LastSequence == 5, "%v", producers)
	Assert(len(Must(admin.BrokerMetadata(Soon())).Brokers) == len(Brokers), "not all brokers")
	Must(admin.DeleteTopic(Soon(), topic))
	Assert(!Must(admin.ListTopics(Soon())).Has(topic), "the deleted topic is still there")
}

func groups() {
	topic := create("groups", 1)
	group := name + "listed"
	produce(topic, Text("one"))
	// A static member, whose place is kept when it ends, and which can be removed by its name.
	reader := join("listed", topic, kgo.NewOffset().AtStart(), kgo.InstanceID("one"))
	Until(func() bool { return len(reader.read()) > 0 }, "a record")
	assertMembers := func(state string, members int) {
		described := Must(admin.DescribeGroups(Soon(), group))[group]
		Assert(described.State == state && len(described.Members) == members, "%v", described)
	}
	Check(reader.CommitUncommittedOffsets(Soon()))
	assertMembers("Stable", 1)
	reader.Close()
	assertMembers("Stable", 1)
	Check(Must(admin.LeaveGroup(Soon(), kadm.LeaveGroup(group).InstanceIDs("one"))).Error())
	assertMembers("Empty", 0)
	listed := func() bool {
		_, there := Must(admin.ListGroups(Soon()))[group]
		return there
	}
	Assert(listed(), "the group is not listed")
	assertCommitted := func(offset int64) {
		found := Must(admin.FetchOffsets(Soon(), group))[topic][0]
		Check(found.Err)
		Assert(found.At == offset, "committed is %v", found)
	}
	assertCommitted(1)
	Check(admin.CommitAllOffsets(Soon(), group, kadm.Offsets{topic: {0: {Topic: topic, At: 0, LeaderEpoch: -1}}}))
	assertCommitted(0)
	for _, err := range Must(admin.DeleteOffsets(Soon(), group, kadm.TopicsSet{topic: {0: {}}}))[topic] {
		Check(err)
	}
	_, there := Must(admin.FetchOffsets(Soon(), group))[topic]
	Assert(!there, "the deleted offset is still there")
	Must(admin.DeleteGroup(Soon(), group))
	Assert(!listed(), "the deleted group is still listed")
}

func main() {
	Run("github.com/twmb/franz-go", map[string]func(){
		"none":       codec("none", kgo.NoCompression()),
		"gzip":       codec("gzip", kgo.GzipCompression()),
		"snappy":     codec("snappy", kgo.SnappyCompression()),
		"lz4":        codec("lz4", kgo.Lz4Compression()),
		"zstd":       codec("zstd", kgo.ZstdCompression()),
		"large":      large,
		"idempotent": idempotent, "group": group, "reset": reset,
		"administration": administration, "groups": groups,
	})
}
