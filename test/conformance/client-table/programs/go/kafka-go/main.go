// Every cell of the table for kafka-go, with its default settings but for what a cell is about.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	. "varve/clients/cells"
)

const name = "kafka-go-"

var admin = &kafka.Client{Addr: kafka.TCP(Brokers...)}

func create(topic string, partitions int, configs ...kafka.ConfigEntry) string {
	topics := []kafka.TopicConfig{
		{Topic: name + topic, NumPartitions: partitions, ReplicationFactor: int(ReplicationFactor), ConfigEntries: configs},
	}
	Check(Must(admin.CreateTopics(Soon(), &kafka.CreateTopicsRequest{Topics: topics})).Errors[name+topic])
	return name + topic
}

// It is the balancer that says where a record goes, and here the record that tells the balancer.
func toPartition(message kafka.Message, _ ...int) int {
	return message.WriterData.(int)
}

func produce(topic string, records []Record, settings ...func(*kafka.Writer)) {
	Check(deliver(topic, records, settings...))
}

func deliver(topic string, records []Record, settings ...func(*kafka.Writer)) error {
	writer := &kafka.Writer{Addr: kafka.TCP(Brokers...), Topic: topic, Balancer: kafka.BalancerFunc(toPartition)}
	for _, set := range settings {
		set(writer)
	}
	var messages []kafka.Message
	for _, record := range records {
		message := kafka.Message{Key: record.Key, Value: record.Value, WriterData: record.Partition}
		for _, header := range record.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: header.Key, Value: header.Value})
		}
		messages = append(messages, message)
	}
	return errors.Join(writer.WriteMessages(Soon(), messages...), writer.Close())
}

// By default it waits for no answer, and the end of a partition that anybody is told is that of what all replicas in sync have.
func committed(writer *kafka.Writer) { writer.RequiredAcks = kafka.RequireAll }

// A reader that reads on its own, and what it has read.
type member struct {
	*kafka.Reader
	mutex   sync.Mutex
	records []Record
}

func consume(config kafka.ReaderConfig) *member {
	config.Brokers = Brokers
	m := &member{Reader: kafka.NewReader(config)}
	go func() {
		for {
			// In a group it commits each, too.
			message, err := m.ReadMessage(context.Background())
			if err != nil {
				return
			}
			record := Record{Key: message.Key, Value: message.Value}
			for _, header := range message.Headers {
				record.Headers = append(record.Headers, Header{Key: header.Key, Value: header.Value})
			}
			m.mutex.Lock()
			m.records = append(m.records, record)
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

func join(group, topic string, start int64) *member {
	return consume(kafka.ReaderConfig{GroupID: name + group, Topic: topic, StartOffset: start})
}

func readAll(topic string, count int) []Record {
	reader := consume(kafka.ReaderConfig{Topic: topic})
	defer reader.Close()
	Until(func() bool { return len(reader.read()) >= count }, "all records")
	return reader.read()
}

func describe(group string) kafka.DescribeGroupsResponseGroup {
	request := &kafka.DescribeGroupsRequest{GroupIDs: []string{name + group}}
	var described kafka.DescribeGroupsResponseGroup
	// It does not try again where a broker has not learned yet that it is the coordinator.
	Until(func() bool {
		described = Must(admin.DescribeGroups(Soon(), request)).Groups[0]
		return !errors.Is(described.Error, kafka.NotCoordinatorForGroup)
	}, "described by the coordinator")
	Check(described.Error)
	return described
}

func codec(codec string, compression kafka.Compression) func() {
	return func() {
		topic := create(codec, 1)
		produce(topic, Records(), func(writer *kafka.Writer) { writer.Compression = compression })
		AssertSame(readAll(topic, 50), Records())
	}
}

func large() {
	topic := create("large", 1)
	produce(topic, Large())
	AssertSame(readAll(topic, 1), Large())
	small := create("small", 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "10000"})
	var refused kafka.WriteErrors
	Assert(errors.As(deliver(small, TooLarge(), committed), &refused), "20 KB were taken")
	Assert(errors.Is(refused[0], kafka.MessageSizeTooLarge), "%v", refused)
	produce(small, Text("small"))
	AssertSame(readAll(small, 1), Text("small"))
}

// Its reader does not say what it has been assigned, so the broker is asked.
func share(members, each int) {
	Until(func() bool {
		described := describe("three")
		same := described.GroupState == "Stable" && len(described.Members) == members
		for _, m := range described.Members {
			same = same && len(m.MemberAssignments.Topics) == 1 && len(m.MemberAssignments.Topics[0].Partitions) == each
		}
		return same
	}, fmt.Sprintf("%d partitions for each", each))
}

func group() {
	topic := create("group", 6)
	var members []*member
	read := func() (records []Record) {
		for _, m := range members {
			records = append(records, m.read()...)
		}
		return records
	}
	for _, each := range []int{6, 3, 2} {
		members = append(members, join("three", topic, kafka.FirstOffset))
		share(len(members), each)
	}
	produce(topic, Numbers(60, 6))
	Until(func() bool { return len(read()) >= 60 }, "all records")
	AssertNumbers(read(), 60)
	Check(members[2].Close())
	members = members[:2]
	share(2, 3)
	for _, m := range members {
		Check(m.Close())
	}
	produce(topic, Text("after"))
	late := join("three", topic, kafka.FirstOffset)
	defer late.Close()
	Until(func() bool { return len(late.read()) > 0 }, "the last record")
	AssertSame(late.read(), Text("after"))
}

func reset() {
	topic := create("reset", 1)
	produce(topic, Text("before"))
	earliest := join("earliest", topic, kafka.FirstOffset)
	Until(func() bool { return len(earliest.read()) > 0 }, "a record from the start")
	AssertSame(earliest.read(), Text("before"))
	Check(earliest.Close())
	latest := join("latest", topic, kafka.LastOffset)
	defer latest.Close()
	// It tells of no position before its first record, so there is one more until one arrives.
	Until(func() bool {
		produce(topic, Text("after"), committed)
		return len(latest.read()) > 0
	}, "a record from the end")
	AssertSame(latest.read()[:1], Text("after"))
	// What a group has committed may be gone.
	produce(topic, Text("kept"), committed)
	DeleteBefore(topic, offsetAt(topic, kafka.LastOffsetOf(0))-1)
	late := join("earliest", topic, kafka.FirstOffset)
	defer late.Close()
	Until(func() bool { return len(late.read()) > 0 }, "what is left")
	AssertSame(late.read(), Text("kept"))
}

func offsetAt(topic string, which kafka.OffsetRequest) int64 {
	request := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {which}}}
	found := Must(admin.ListOffsets(Soon(), request)).Topics[topic][0]
	Check(found.Error)
	for offset := range found.Offsets {
		return offset
	}
	return max(found.FirstOffset, found.LastOffset)
}

func topics() map[string]kafka.Topic {
	named := map[string]kafka.Topic{}
	for _, topic := range Must(admin.Metadata(Soon(), &kafka.MetadataRequest{})).Topics {
		named[topic.Name] = topic
	}
	return named
}

func administration() {
	topic := create("admin", 2)
	Assert(len(topics()[topic].Partitions) == 2, "not 2 partitions")
	more := []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}
	extended := Must(admin.CreatePartitions(Soon(), &kafka.CreatePartitionsRequest{Topics: more}))
	Check(extended.Errors[topic])
	// It keeps what it knows of topics for 6 s.
	Until(func() bool { return len(topics()[topic].Partitions) == 3 }, "with 3 partitions")
	changes := []kafka.IncrementalAlterConfigsRequestConfig{
		{Name: "retention.ms", Value: strconv.Itoa(12345), ConfigOperation: kafka.ConfigOperationSet},
	}
	altered := Must(admin.IncrementalAlterConfigs(Soon(), &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: changes},
		},
	}))
	Check(altered.Resources[0].Error)
	described := Must(admin.DescribeConfigs(Soon(), &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}},
		},
	})).Resources[0]
	Check(described.Error)
	Assert(len(described.ConfigEntries) == 1 && described.ConfigEntries[0].ConfigValue == "12345", "%v", described)
	before := time.Now()
	produce(topic, Numbers(6, 1), committed)
	Assert(offsetAt(topic, kafka.LastOffsetOf(0)) == 6, "the partition does not end at 6")
	Assert(offsetAt(topic, kafka.TimeOffsetOf(0, before.Add(-time.Millisecond))) == 0, "the first record since is not that at 0")
	Assert(offsetAt(topic, kafka.FirstOffsetOf(0)) == 0, "the partition does not begin at 0")
	Check(Must(admin.DeleteTopics(Soon(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})).Errors[topic])
	Until(func() bool { _, there := topics()[topic]; return !there }, "without the deleted topic")
}

func groups() {
	topic := create("groups", 1)
	produce(topic, Text("one"))
	reader := join("listed", topic, kafka.FirstOffset)
	Until(func() bool { return len(reader.read()) > 0 }, "a record")
	described := describe("listed")
	Assert(described.GroupState == "Stable" && len(described.Members) == 1, "%v", described)
	Check(reader.Close())
	listed := func() bool {
		for _, group := range Must(admin.ListGroups(Soon(), &kafka.ListGroupsRequest{})).Groups {
			if group.GroupID == name+"listed" {
				return true
			}
		}
		return false
	}
	Assert(listed(), "the group is not listed")
	committed := func() int64 {
		request := &kafka.OffsetFetchRequest{GroupID: name + "listed", Topics: map[string][]int{topic: {0}}}
		found := Must(admin.OffsetFetch(Soon(), request))
		Check(found.Error)
		return found.Topics[topic][0].CommittedOffset
	}
	Assert(committed() == 1, "committed is not 1")
	altered := Must(admin.OffsetCommit(Soon(), &kafka.OffsetCommitRequest{
		GroupID: name + "listed", GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 0}}},
	}))
	Check(altered.Topics[topic][0].Error)
	Assert(committed() == 0, "committed is not 0")
	forgotten := Must(admin.OffsetDelete(Soon(), &kafka.OffsetDeleteRequest{
		GroupID: name + "listed", Topics: map[string][]int{topic: {0}},
	}))
	Check(forgotten.Error)
	Check(forgotten.Topics[topic][0].Error)
	Assert(committed() == -1, "the deleted offset is still there")
	deleted := Must(admin.DeleteGroups(Soon(), &kafka.DeleteGroupsRequest{GroupIDs: []string{name + "listed"}}))
	Check(deleted.Errors[name+"listed"])
	Assert(!listed(), "the deleted group is still listed")
}

func main() {
	Run("github.com/segmentio/kafka-go", map[string]func(){
		"none":   codec("none", 0),
		"gzip":   codec("gzip", kafka.Gzip),
		"snappy": codec("snappy", kafka.Snappy),
		"lz4":    codec("lz4", kafka.Lz4),
		"zstd":   codec("zstd", kafka.Zstd),
		"large":  large, "group": group, "reset": reset,
		"administration": administration, "groups": groups,
	})
}
