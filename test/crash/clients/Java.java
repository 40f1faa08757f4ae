import java.io.PrintStream;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's Java client, while its broker is killed: `produce BROKER TOPIC PARTITION…` or `consume BROKER TOPIC GROUP`, until
 * standard input ends. The producer is idempotent, as it is by default. What the lines say, kill-clients.test.ts says.
 */
public class Java {
    static volatile boolean isOver = false;
    static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);

    public static void main(String[] args) throws Exception {
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (IOException error) {
                error.printStackTrace();
            }
            isOver = true;
        });
        input.setDaemon(true);
        input.start();
        if (args[0].equals("produce")) produce(args);
        else consume(args);
    }

    static void produce(String[] args) throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", args[1],
            "key.serializer", ByteArraySerializer.class,
            "value.serializer", ByteArraySerializer.class);
        Semaphore room = new Semaphore(500);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            for (int n = 0; !isOver; n++) {
                for (int i = 3; i < args.length; i++) {
                    int partition = Integer.parseInt(args[i]);
                    int sequence = n;
                    String value = "java/" + partition + "/" + n + "/" + "x".repeat(n * 31 % 300);
                    room.acquire();
                    producer.send(
                        new ProducerRecord<>(args[2], partition, null, value.getBytes(StandardCharsets.UTF_8)),
                        (metadata, error) -> {
                            if (error != null) {
                                error.printStackTrace();
                                System.exit(1);
                            }
                            out.println("acked " + partition + " " + metadata.offset() + " " + sequence);
                            room.release();
                        });
                }
                Thread.sleep(1);
            }
        }
    }

    static void consume(String[] args) {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", args[1],
            "group.id", args[3],
            "enable.auto.commit", "false",
            "auto.offset.reset", "earliest",
            "session.timeout.ms", "6000",
            "heartbeat.interval.ms", "300",
            "key.deserializer", ByteArrayDeserializer.class,
            "value.deserializer", ByteArrayDeserializer.class);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of(args[2]));
            while (!isOver) {
                var records = consumer.poll(Duration.ofMillis(200));
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition partition : records.partitions()) {
                    List<ConsumerRecord<byte[], byte[]>> read = records.records(partition);
                    long first = read.get(0).offset(), last = read.get(read.size() - 1).offset();
                    out.println("read " + partition.partition() + " " + first + " " + last);
                    offsets.put(partition, new OffsetAndMetadata(last + 1));
                }
                if (offsets.isEmpty()) continue;
                try {
                    consumer.commitSync(offsets);
                } catch (CommitFailedException | RebalanceInProgressException error) {
                    // Another member reads them again.
                    continue;
                }
                offsets.forEach((partition, offset) ->
                    out.println("committed " + partition.partition() + " " + offset.offset()));
            }
        }
    }
}
