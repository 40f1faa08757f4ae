// Every cell of the table for Sarama, with its default settings but for what a cell is about.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	. "varve/clients/cells"
)

const name = "sarama-"

var admin = Must(sarama.NewClusterAdmin(Brokers, sarama.NewConfig()))

func create(topic string, partitions int32) string {
	Check(admin.CreateTopic(name+topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: ReplicationFactor}, false))
	return name + topic
}

func produce(topic string, records []Record, settings ...func(*sarama.Config)) {
	Check(deliver(topic, records, settings...))
}

func deliver(topic string, records []Record, settings ...func(*sarama.Config)) error {
	config := sarama.NewConfig()
	// SendMessages waits for it.
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	for _, set := range settings {
		set(config)
	}
	producer := Must(sarama.NewSyncProducer(Brokers, config))
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, record := range records {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(record.Partition)}
		if record.Key != nil {
			message.Key = sarama.ByteEncoder(record.Key)
		}
		if record.Value != nil {
			message.Value = sarama.ByteEncoder(record.Value)
		}
		for _, header := range record.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
		messages = append(messages, message)
	}
	return producer.SendMessages(messages)
}

// By default it waits for the leader alone, and the end of a partition that anybody is told is that of what all replicas in sync have.
func committed(config *sarama.Config) { config.Producer.RequiredAcks = sarama.WaitForAll }

func recordOf(message *sarama.ConsumerMessage) Record {
	record := Record{Key: message.Key, Value: message.Value}
	for _, header := range message.Headers {
		record.Headers = append(record.Headers, Header{Key: string(header.Key), Value: header.Value})
	}
	return record
}

func readAll(topic string, count int) (records []Record) {
	consumer := Must(sarama.NewConsumer(Brokers, sarama.NewConfig()))
	defer consumer.Close()
	partition := Must(consumer.ConsumePartition(topic, 0, sarama.OffsetOldest))
	defer partition.Close()
	late := time.After(60 * time.Second)
	for len(records) < count {
		select {
		case message := <-partition.Messages():
			records = append(records, recordOf(message))
		case <-late:
			Assert(false, "after 60 s only %d records", len(records))
		}
	}
	return records
}

// A member of a group, what it has been assigned in its session and what it has read in all.
type member struct {
	group    sarama.ConsumerGroup
	end      context.CancelFunc
	ended    chan struct{}
	mutex    sync.Mutex
	assigned int
	records  []Record
}

func join(group, topic string, settings ...func(*sarama.Config)) *member {
	config := sarama.NewConfig()
	for _, set := range settings {
		set(config)
	}
	within, end := context.WithCancel(context.Background())
	m := &member{group: Must(sarama.NewConsumerGroup(Brokers, name+group, config)), end: end, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		// It comes back with every rebalance.
		for within.Err() == nil {
			_ = m.group.Consume(within, []string{topic}, m)
		}
	}()
	return m
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned = 0
	for _, partitions := range session.Claims() {
		m.assigned += len(partitions)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned = 0
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.mutex.Lock()
			m.records = append(m.records, recordOf(message))
			m.mutex.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) read() []Record {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return append([]Record(nil), m.records...)
}

func (m *member) partitions() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.assigned
}

func (m *member) leave() {
	m.end()
	<-m.ended
	Check(m.group.Close())
}

func fromStart(config *sarama.Config) {
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
}

func codec(codec string, compression sarama.CompressionCodec) func() {
	return func() {
		topic := create(codec, 1)
		produce(topic, Records(), func(config *sarama.Config) { config.Producer.Compression = compression })
		AssertSame(readAll(topic, 50), Records())
	}
}

func large() {
	topic := create("large", 1)
	produce(topic, Large())
	AssertSame(readAll(topic, 1), Large())
	limit := "10000"
	small := &sarama.TopicDetail{
		NumPartitions: 1, ReplicationFactor: ReplicationFactor, ConfigEntries: map[string]*string{"max.message.bytes": &limit},
	}
	Check(admin.CreateTopic(name+"small", small, false))
	var refused sarama.ProducerErrors
	Assert(errors.As(deliver(name+"small", TooLarge()), &refused), "20 KB were taken")
	Assert(errors.Is(refused[0].Err, sarama.ErrMessageSizeTooLarge), "%v", refused)
	produce(name+"small", Text("small"))
	AssertSame(readAll(name+"small", 1), Text("small"))
}

func idempotent() {
	topic := create("idempotent", 1)
	produce(topic, Numbers(500, 1), func(config *sarama.Config) {
		// It asks for the two others with it.
		config.Producer.Idempotent = true
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Net.MaxOpenRequests = 1
	})
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
		members = append(members, join("three", topic, fromStart))
		share(each)
	}
	produce(topic, Numbers(60, 6))
	Until(func() bool { return len(read()) >= 60 }, "all records")
	AssertNumbers(read(), 60)
	members[2].leave()
	members = members[:2]
	share(3)
	for _, m := range members {
		m.leave()
	}
	produce(topic, Text("after"))
	late := join("three", topic, fromStart)
	Until(func() bool { return len(late.read()) > 0 }, "the last record")
	AssertSame(late.read(), Text("after"))
	late.leave()
}

func reset() {
	topic := create("reset", 1)
	produce(topic, Text("before"))
	earliest := join("earliest", topic, fromStart)
	Until(func() bool { return len(earliest.read()) > 0 }, "a record from the start")
	AssertSame(earliest.read(), Text("before"))
	earliest.leave()
	latest := join("latest", topic)
	// It tells of no position before its first record, so there is one more until one arrives.
	Until(func() bool {
		produce(topic, Text("after"), committed)
		return len(latest.read()) > 0
	}, "a record from the end")
	AssertSame(latest.read()[:1], Text("after"))
	latest.leave()
	// What a group has committed may be gone.
	produce(topic, Text("kept"), committed)
	Check(admin.DeleteRecords(topic, map[int32]int64{0: offsetAt(topic, sarama.OffsetNewest) - 1}))
	late := join("earliest", topic, fromStart)
	Until(func() bool { return len(late.read()) > 0 }, "what is left")
	AssertSame(late.read(), Text("kept"))
	late.leave()
}

func offsetAt(topic string, when int64) int64 {
	found := Must(admin.ListOffsets(map[string]map[int32]int64{topic: {0: when}}, nil))[topic][0]
	Assert(found.Err == sarama.ErrNoError, "%v", found.Err)
	return found.Offset
}

func administration() {
	topic := create("admin", 2)
	partitions := func() int { return len(Must(admin.DescribeTopics([]string{topic}))[0].Partitions) }
	Assert(partitions() == 2, "not 2 partitions")
	Check(admin.CreatePartitions(topic, 3, nil, false))
	Assert(partitions() == 3, "not 3 partitions")
	value := "12345"
	Check(admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false))
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}
	described := Must(admin.DescribeConfig(resource))
	Assert(len(described) == 1 && described[0].Value == value, "%v", described)
	before := time.Now().UnixMilli()
	produce(topic, Numbers(6, 1), committed)
	Assert(offsetAt(topic, sarama.OffsetNewest) == 6, "the partition does not end at 6")
	Assert(offsetAt(topic, before-1) == 0, "the first record since is not that at 0")
	Check(admin.DeleteRecords(topic, map[int32]int64{0: 2}))
	Assert(offsetAt(topic, sarama.OffsetOldest) == 2, "the partition does not begin at 2")
	brokers, controller, err := admin.DescribeCluster()
	Check(err)
	Assert(len(brokers) == len(Brokers), "%v", brokers)
	isThere := false
	for _, broker := range brokers {
		isThere = isThere || broker.ID() == controller
		inDirectory := false
		for _, directory := range Must(admin.DescribeLogDirs([]int32{broker.ID()}))[broker.ID()] {
			for _, kept := range directory.Topics {
				inDirectory = inDirectory || kept.Topic == topic
			}
		}
		Assert(inDirectory, "the topic is in no directory of broker %d", broker.ID())
	}
	Assert(isThere, "the controller %d is no broker", controller)
	Check(admin.DeleteTopic(topic))
	_, there := Must(admin.ListTopics())[topic]
	Assert(!there, "the deleted topic is still there")
}

func groups() {
	topic := create("groups", 1)
	group := name + "listed"
	produce(topic, Text("one"))
	// A static member, whose place is kept when it ends, and which can be removed by its name.
	reader := join("listed", topic, fromStart, func(config *sarama.Config) { config.Consumer.Group.InstanceId = "one" })
	Until(func() bool { return len(reader.read()) > 0 }, "a record")
	assertMembers := func(state string, members int) {
		described := Must(admin.DescribeConsumerGroups([]string{group}))[0]
		Assert(described.State == state && len(described.Members) == members, "%v", described)
	}
	assertMembers("Stable", 1)
	reader.leave()
	assertMembers("Stable", 1)
	Must(admin.RemoveMemberFromConsumerGroup(group, []string{"one"}))
	assertMembers("Empty", 0)
	listed := func() bool {
		_, there := Must(admin.ListConsumerGroups())[group]
		return there
	}
	Assert(listed(), "the group is not listed")
	assertCommitted := func(offset int64) {
		found := Must(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})).GetBlock(topic, 0)
		Assert(found.Err == sarama.ErrNoError && found.Offset == offset, "committed is %v", found)
	}
	assertCommitted(1)
	wanted := map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: 0, LeaderEpoch: -1}}}
	Must(admin.AlterConsumerGroupOffsets(group, wanted, nil))
	assertCommitted(0)
	Check(admin.DeleteConsumerGroupOffset(group, topic, 0))
	assertCommitted(-1)
	Check(admin.DeleteConsumerGroup(group))
	Assert(!listed(), "the deleted group is still listed")
}

func main() {
	Run("github.com/IBM/sarama", map[string]func(){
		"none":       codec("none", sarama.CompressionNone),
		"gzip":       codec("gzip", sarama.CompressionGZIP),
		"snappy":     codec("snappy", sarama.CompressionSnappy),
		"lz4":        codec("lz4", sarama.CompressionLZ4),
		"zstd":       codec("zstd", sarama.CompressionZSTD),
		"large":      large,
		"idempotent": idempotent, "group": group, "reset": reset,
		"administration": administration, "groups": groups,
	})
}
