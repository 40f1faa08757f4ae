import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.DELETE;
import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.SET;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Every cell of the table for Kafka's own Java client, with its default settings but for what a cell is about. */
public class Java {
    interface Cell {
        void run() throws Exception;
    }

    /** HOST:PORT of each broker, with commas. */
    static String bootstrapServers;
    static int brokerCount;
    static Admin admin;

    record Sent(byte[] key, byte[] value, List<Header> headers, int partition) {}

    static Properties config(String... settings) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrapServers);
        for (int i = 0; i < settings.length; i += 2) config.put(settings[i], settings[i + 1]);
        return config;
    }

    static String create(String name, int partitions) throws Exception {
        return create(name, partitions, Map.of());
    }

    static String create(String name, int partitions, Map<String, String> configs) throws Exception {
        String topic = "java-" + name;
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) brokerCount).configs(configs))).all().get();
        return topic;
    }

    static void deleteBefore(TopicPartition partition, long offset) throws Exception {
        admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset))).all().get();
    }

    static void produce(String topic, List<Sent> records, String... settings) throws Exception {
        var serializer = new ByteArraySerializer();
        try (var producer = new KafkaProducer<>(config(settings), serializer, serializer)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Sent each : records)
                sent.add(producer.send(
                        new ProducerRecord<>(topic, each.partition, each.key, each.value, each.headers)));
            for (Future<RecordMetadata> each : sent) each.get();
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        var deserializer = new ByteArrayDeserializer();
        return new KafkaConsumer<>(config(settings), deserializer, deserializer);
    }

    static KafkaConsumer<byte[], byte[]> join(String group, String topic, String... settings) {
        var consumer = consumer(Stream.concat(Stream.of("group.id", "java-" + group), Arrays.stream(settings))
                .toArray(String[]::new));
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    static final String[] FROM_START = {"auto.offset.reset", "earliest"};

    /** Polls all consumers until it is done, and adds what they read. */
    static void pollUntil(
            Collection<KafkaConsumer<byte[], byte[]>> consumers,
            List<ConsumerRecord<byte[], byte[]>> records,
            BooleanSupplier done) {
        long deadline = System.nanoTime() + 90_000_000_000L;
        while (!done.getAsBoolean()) {
            check(System.nanoTime() < deadline, "after 90 s only " + records.size() + " records");
            for (var consumer : consumers) consumer.poll(Duration.ofMillis(50)).forEach(records::add);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        pollUntil(List.of(consumer), records, () -> records.size() >= count);
        return records;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int count) {
        try (var consumer = consumer()) {
            var partitions = List.of(new TopicPartition(topic, 0));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            return read(consumer, count);
        }
    }

    static void check(boolean is, Object what) {
        if (!is) throw new AssertionError(what);
    }

    static void same(List<ConsumerRecord<byte[], byte[]>> got, List<Sent> sent) {
        check(got.size() == sent.size(), got.size() + " records instead of " + sent.size());
        for (int i = 0; i < sent.size(); i++) {
            var record = got.get(i);
            var expected = sent.get(i);
            check(
                    Arrays.equals(record.key(), expected.key)
                            && Arrays.equals(record.value(), expected.value)
                            && Objects.equals(List.of(record.headers().toArray()), expected.headers),
                    "record " + i + " came back as " + record);
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static List<Sent> text(String value) {
        return List.of(new Sent(null, bytes(value), List.of(), 0));
    }

    static List<Sent> numbers(int count, int partitions) {
        return IntStream.range(0, count)
                .mapToObj(i -> new Sent(null, bytes("" + i), List.of(), i % partitions))
                .toList();
    }

    static void codec(String name) throws Exception {
        String topic = create(name, 1);
        List<Sent> sent = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            byte[] value = i % 5 == 4 ? null : bytes(("value " + i + " ").repeat(20));
            List<Header> headers = List.of(new RecordHeader("h", bytes("" + i)), new RecordHeader("none", (byte[]) null));
            sent.add(new Sent(bytes("k" + i), value, headers, 0));
        }
        produce(topic, sent, "compression.type", name);
        same(readAll(topic, 50), sent);
    }

    static void large() throws Exception {
        String topic = create("large", 1);
        byte[] value = new byte[900_000];
        for (int i = 0; i < value.length; i++) value[i] = (byte) (i * 7 % 251);
        var sent = List.of(new Sent(null, value, List.of(), 0));
        produce(topic, sent);
        same(readAll(topic, 1), sent);
        String small = create("small", 1, Map.of("max.message.bytes", "10000"));
        try {
            produce(small, List.of(new Sent(null, new byte[20_000], List.of(), 0)));
            check(false, "20 KB were taken");
        } catch (ExecutionException refused) {
            check(refused.getCause() instanceof RecordTooLargeException, refused);
        }
        produce(small, text("small"));
        same(readAll(small, 1), text("small"));
    }

    /** Its producer is idempotent unless it is told otherwise. */
    static void idempotent() throws Exception {
        String topic = create("idempotent", 1);
        produce(topic, numbers(500, 1));
        same(readAll(topic, 500), numbers(500, 1));
    }

    static void group() throws Exception {
        String topic = create("group", 6);
        List<KafkaConsumer<byte[], byte[]>> members = new ArrayList<>();
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int each : List.of(6, 3, 2)) {
            members.add(join("three", topic, FROM_START));
            pollUntil(members, records, () -> members.stream().allMatch(m -> m.assignment().size() == each));
        }
        produce(topic, numbers(60, 6));
        pollUntil(members, records, () -> records.size() >= 60);
        var values = records.stream().mapToInt(r -> Integer.parseInt(new String(r.value()))).sorted().toArray();
        check(Arrays.equals(values, IntStream.range(0, 60).toArray()), Arrays.toString(values));
        members.remove(2).close();
        pollUntil(members, records, () -> members.stream().allMatch(m -> m.assignment().size() == 3));
        for (var member : members) member.close();
        produce(topic, text("after"));
        try (var late = join("three", topic, FROM_START)) {
            same(read(late, 1), text("after"));
        }
    }

    static void reset() throws Exception {
        String topic = create("reset", 1);
        produce(topic, text("before"));
        try (var earliest = join("earliest", topic, FROM_START);
                var latest = join("latest", topic)) {
            same(read(earliest, 1), text("before"));
            pollUntil(List.of(latest), new ArrayList<>(), () -> !latest.assignment().isEmpty());
            latest.position(new TopicPartition(topic, 0));
            produce(topic, text("after"));
            same(read(latest, 1), text("after"));
        }
        produce(topic, text("kept"));
        deleteBefore(new TopicPartition(topic, 0), 2);
        // What the group has committed is gone.
        try (var earliest = join("earliest", topic, FROM_START)) {
            same(read(earliest, 1), text("kept"));
        }
    }

    static int partitionsOf(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    }

    static String retentionOf(ConfigResource resource) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
    }

    static void alter(ConfigResource resource, AlterConfigOp change) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    static void checkOffset(TopicPartition partition, OffsetSpec spec, long expected) throws Exception {
        long offset = admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
        check(offset == expected, spec.getClass().getSimpleName() + " is " + offset + " instead of " + expected);
    }

    static void administration() throws Exception {
        String topic = create("admin", 2);
        check(partitionsOf(topic) == 2, "not 2 partitions");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
        check(partitionsOf(topic) == 3, "not 3 partitions");
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        alter(resource, new AlterConfigOp(new ConfigEntry("retention.ms", "12345"), SET));
        check(retentionOf(resource).equals("12345"), "retention.ms is not as it was set");
        alter(resource, new AlterConfigOp(new ConfigEntry("retention.ms", null), DELETE));
        check(retentionOf(resource).equals("604800000"), "retention.ms has not its default again");

        var partition = new TopicPartition(topic, 0);
        long before = System.currentTimeMillis();
        produce(topic, numbers(6, 1));
        checkOffset(partition, OffsetSpec.latest(), 6);
        checkOffset(partition, OffsetSpec.forTimestamp(before - 1), 0);
        checkOffset(partition, OffsetSpec.forTimestamp(before + 3_600_000), -1);
        deleteBefore(partition, 2);
        checkOffset(partition, OffsetSpec.earliest(), 2);
        var brokers = admin.describeCluster().nodes().get().stream().map(Node::id).toList();
        check(brokers.size() == brokerCount, brokers);
        for (var directories : admin.describeLogDirs(brokers).allDescriptions().get().values())
            check(directories.values().stream().anyMatch(each -> each.replicaInfos().containsKey(partition)), directories);
        var producers = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
        check(producers.size() == 1 && producers.get(0).lastSequence() == 5, producers);
        int controller = admin.describeCluster().controller().get().id();
        check(admin.describeMetadataQuorum().quorumInfo().get().leaderId() == controller, "the controller does not lead");
        admin.deleteTopics(List.of(topic)).all().get();
        check(!admin.listTopics().names().get().contains(topic), "the deleted topic is still there");
    }

    static boolean isListed(String group) throws Exception {
        return admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(group));
    }

    static void groups() throws Exception {
        String topic = create("groups", 1);
        produce(topic, text("one"));
        String group = "java-listed";
        try (var consumer = join("listed", topic, FROM_START)) {
            read(consumer, 1);
            consumer.commitSync();
            var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            check(described.groupState().toString().equals("Stable") && described.members().size() == 1, described);
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
            var left = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            check(left.groupState().toString().equals("Empty") && left.members().isEmpty(), left);
        }
        check(isListed(group), "the group is not listed");
        var partition = new TopicPartition(topic, 0);
        checkCommitted(group, partition, 1L);
        admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(0))).all().get();
        checkCommitted(group, partition, 0L);
        admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
        checkCommitted(group, partition, null);
        admin.deleteConsumerGroups(List.of(group)).all().get();
        check(!isListed(group), "the deleted group is still listed");
    }

    static void checkCommitted(String group, TopicPartition partition, Long expected) throws Exception {
        var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition);
        check(Objects.equals(found == null ? null : found.offset(), expected), "committed is " + found);
    }

    /** As the jar says it. */
    static String version() throws Exception {
        Properties properties = new Properties();
        try (var file = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(file);
        }
        return properties.getProperty("version");
    }

    public static void main(String[] args) throws Exception {
        bootstrapServers = args[0];
        brokerCount = bootstrapServers.split(",").length;
        Map<String, Cell> named = new LinkedHashMap<>();
        for (String name : List.of("none", "gzip", "snappy", "lz4", "zstd")) named.put(name, () -> codec(name));
        named.put("large", Java::large);
        named.put("idempotent", Java::idempotent);
        named.put("group", Java::group);
        named.put("reset", Java::reset);
        named.put("administration", Java::administration);
        named.put("groups", Java::groups);
        System.out.println("{\"version\":\"" + version() + "\"}");
        admin = Admin.create(config());
        for (String cell : args[1].split(",")) {
            try {
                named.get(cell).run();
                System.out.println("{\"cell\":\"" + cell + "\"}");
            } catch (Throwable error) {
                String failure = error.toString().replaceAll("[\\\\\"\\p{Cntrl}]", " ");
                System.out.println("{\"cell\":\"" + cell + "\",\"failure\":\"" + failure + "\"}");
            }
        }
        admin.close();
    }
}
