// Every cell of the table for Sarama, with its default settings but for what a cell is about.
package main

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
	. "varve/clients/cells"
)

const name = "sarama-"

var admin = Must(sarama.NewClusterAdmin([]string{Broker}, sarama.NewConfig()))

func create(topic string, partitions int32) string {
	Check(admin.CreateTopic(name+topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return name + topic
}

func produce(topic string, records []Record, settings ...func(*sarama.Config)) {
	config := sarama.NewConfig()
	// SendMessages waits for it.
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	for _, set := range settings {
		set(config)
	}
	producer := Must(sarama.NewSyncProducer([]string{Broker}, config))
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
	Check(producer.SendMessages(messages))
}

func recordOf(message *sarama.ConsumerMessage) Record {
	record := Record{Key: message.Key, Value: message.Value}
	for _, header := range message.Headers {
		record.Headers = append(record.Headers, Header{Key: string(header.Key), Value: header.Value})
	}
	return record
}

func readAll(topic string, count int) (records []Record) {
	consumer := Must(sarama.NewConsumer([]string{Broker}, sarama.NewConfig()))
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
	m := &member{group: Must(sarama.NewConsumerGroup([]string{Broker}, name+group, config)), end: end, ended: make(chan struct{})}
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
		produce(topic, Text("after"))
		return len(latest.read()) > 0
	}, "a record from the end")
	AssertSame(latest.read()[:1], Text("after"))
	latest.leave()
}

func administration() {
	topic := create("admin", 2)
	Assert(len(Must(admin.DescribeTopics([]string{topic}))[0].Partitions) == 2, "the topic has not 2 partitions")
	value := "12345"
	Check(admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false))
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}
	described := Must(admin.DescribeConfig(resource))
	Assert(len(described) == 1 && described[0].Value == value, "%v", described)
	Check(admin.DeleteTopic(topic))
	_, there := Must(admin.ListTopics())[topic]
	Assert(!there, "the deleted topic is still there")
}

func groups() {
	topic := create("groups", 1)
	produce(topic, Text("one"))
	reader := join("listed", topic, fromStart)
	Until(func() bool { return len(reader.read()) > 0 }, "a record")
	described := Must(admin.DescribeConsumerGroups([]string{name + "listed"}))[0]
	Assert(described.State == "Stable" && len(described.Members) == 1, "%v", described)
	reader.leave()
	listed := func() bool {
		_, there := Must(admin.ListConsumerGroups())[name+"listed"]
		return there
	}
	Assert(listed(), "the group is not listed")
	Check(admin.DeleteConsumerGroup(name + "listed"))
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
