import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's Java client at work on a cluster that is being broken: BROKERS TOPIC PARTITIONS GROUP HISTORY GAP_MS [defaults]. An
 * idempotent producer, a member of the group and a reader without one write down what they do and see, until SIGTERM. Timeouts are short
 * enough for faults that last seconds, or those that everybody has.
 */
public class Java {
    static volatile boolean isOver = false;
    static String brokers, topic, group;
    static int partitions;
    static long gapMs;
    static boolean hasDefaults;
    static FileOutputStream history;

    interface Role {
        void play() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        brokers = args[0];
        topic = args[1];
        partitions = Integer.parseInt(args[2]);
        group = args[3];
        history = new FileOutputStream(args[4], true);
        gapMs = Long.parseLong(args[5]);
        hasDefaults = args.length > 6 && args[6].equals("defaults");
        List<Thread> threads = List.of(thread(Java::produce), thread(Java::takePart), thread(Java::read));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            isOver = true;
            try {
                for (Thread thread : threads) thread.join();
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
            System.err.println("has ended");
        }));
    }

    static Thread thread(Role role) {
        Thread thread = new Thread(() -> {
            try {
                role.play();
            } catch (Throwable error) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        thread.setDaemon(false);
        thread.start();
        return thread;
    }

    /** One client in the history. */
    static class Client {
        final String name;
        private long operations = 0;

        Client(String name, String settings) {
            this.name = name;
            write("start", settings);
        }

        void write(String type, String fields) {
            // The lines of a client are in the order of their times, and a line is written whole.
            synchronized (this) {
                String line = "{\"time\":" + System.nanoTime() / 1000 + ",\"client\":\"" + name + "\",\"type\":\"" + type + "\""
                    + (fields.isEmpty() ? "" : "," + fields) + "}\n";
                try {
                    history.write(line.getBytes(StandardCharsets.UTF_8));
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            }
        }

        synchronized long invoke(String call, String fields) {
            long operation = ++operations;
            write("invoke", "\"operation\":" + operation + ",\"call\":\"" + call + "\"" + (fields.isEmpty() ? "" : "," + fields));
            return operation;
        }

        void end(long operation, String type, String fields) {
            write(type, "\"operation\":" + operation + (fields.isEmpty() ? "" : "," + fields));
        }
    }

    static String quoted(Object text) {
        return "\"" + String.valueOf(text).replace("\\", "\\\\").replace("\"", "'").replaceAll("\\p{Cntrl}", " ") + "\"";
    }

    static <Value> String byPartition(Map<TopicPartition, Value> values) {
        return values.entrySet().stream().map(one -> quoted(one.getKey()) + ":" + one.getValue())
            .collect(Collectors.joining(",", "{", "}"));
    }

    static void produce() throws Exception {
        Client client = new Client("java-producer", "\"producer\":{\"acks\":\"all\",\"idempotent\":true}");
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", brokers,
            "key.serializer", StringSerializer.class,
            "value.serializer", StringSerializer.class));
        if (!hasDefaults) {
            config.put("request.timeout.ms", "10000");
            config.put("reconnect.backoff.max.ms", "500");
        }
        Semaphore room = new Semaphore(200);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            for (int n = 0; !isOver; n++) {
                room.acquire();
                int partition = n % partitions;
                String value = "java-" + n;
                long operation = client.invoke("produce",
                    "\"partition\":\"" + topic + "-" + partition + "\",\"value\":" + quoted(value));
                producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, error) -> {
                    if (error == null) client.end(operation, "ok", "\"offset\":" + metadata.offset());
                    else client.end(operation, "info", "\"error\":" + quoted(error));
                    room.release();
                });
                Thread.sleep(gapMs);
            }
        }
    }

    static Map<String, Object> consumerConfig() {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", brokers);
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        if (!hasDefaults) {
            config.put("request.timeout.ms", "10000");
            config.put("default.api.timeout.ms", "20000");
            config.put("reconnect.backoff.max.ms", "500");
        }
        config.put("key.deserializer", StringDeserializer.class);
        config.put("value.deserializer", StringDeserializer.class);
        return config;
    }

    /** Polls once; what came, as the offsets behind it. */
    static Map<TopicPartition, Long> poll(Client client, KafkaConsumer<String, String> consumer) {
        long operation = client.invoke("poll", "");
        var records = consumer.poll(Duration.ofMillis(200));
        Map<TopicPartition, String> read = new HashMap<>();
        Map<TopicPartition, Long> next = new HashMap<>();
        for (TopicPartition partition : records.partitions()) {
            var those = records.records(partition);
            read.put(partition, those.stream().map(one -> "[" + one.offset() + "," + quoted(one.value()) + "]")
                .collect(Collectors.joining(",", "[", "]")));
            next.put(partition, those.get(those.size() - 1).offset() + 1);
        }
        client.end(operation, "ok", "\"records\":" + byPartition(read));
        return next;
    }

    static void takePart() {
        Client client = new Client("java-member", "\"consumer\":{\"group\":\"" + group + "\",\"reset\":\"earliest\"}");
        Map<String, Object> config = consumerConfig();
        config.put("group.id", group);
        if (!hasDefaults) {
            config.put("session.timeout.ms", "10000");
            config.put("heartbeat.interval.ms", "1000");
        }
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
                    Map<TopicPartition, String> positions = new HashMap<>();
                    for (TopicPartition partition : assigned) positions.put(partition, "null");
                    client.write("assigned", "\"positions\":" + byPartition(positions)
                        + ",\"generation\":" + consumer.groupMetadata().generationId());
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
                    client.write("revoked", revoked.stream().map(Java::quoted)
                        .collect(Collectors.joining(",", "\"partitions\":[", "]")));
                }
            });
            while (!isOver) {
                Map<TopicPartition, Long> next = poll(client, consumer);
                if (next.isEmpty()) continue;
                int generation = consumer.groupMetadata().generationId();
                long operation = client.invoke("commit",
                    "\"offsets\":" + byPartition(next) + (generation < 0 ? "" : ",\"generation\":" + generation));
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                next.forEach((partition, offset) -> offsets.put(partition, new OffsetAndMetadata(offset)));
                try {
                    consumer.commitSync(offsets);
                    client.end(operation, "ok", "");
                } catch (KafkaException error) {
                    client.end(operation, "info", "\"error\":" + quoted(error));
                }
            }
        }
    }

    static void read() {
        Client client = new Client("java-reader", "\"consumer\":{}");
        List<TopicPartition> all = new ArrayList<>(
            IntStream.range(0, partitions).mapToObj(partition -> new TopicPartition(topic, partition)).toList());
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consumerConfig())) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, String> positions = new HashMap<>();
            for (TopicPartition partition : all) positions.put(partition, "0");
            client.write("assigned", "\"positions\":" + byPartition(positions));
            while (!isOver) poll(client, consumer);
        }
    }
}
