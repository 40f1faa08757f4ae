import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads partitions from their start with Kafka's Java client, which keeps a fetch session: BROKER TOPIC PARTITIONS COUNT
 * [NAME=VALUE …]. Ends after so many records, and prints PARTITION OFFSET VALUE for each; a minute without any is an error.
 */
public class JavaConsumer {
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("enable.auto.commit", "false");
        config.put("key.deserializer", ByteArrayDeserializer.class.getName());
        config.put("value.deserializer", ByteArrayDeserializer.class.getName());
        for (int i = 4; i < args.length; i++) {
            String[] parts = args[i].split("=", 2);
            config.put(parts[0], parts[1]);
        }
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[2]); i++) partitions.add(new TopicPartition(args[1], i));
        int missing = Integer.parseInt(args[3]);
        StringBuilder out = new StringBuilder();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (missing > 0) {
                var records = consumer.poll(Duration.ofSeconds(60));
                if (records.isEmpty()) throw new IllegalStateException(missing + " records are missing");
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    String value = new String(record.value(), StandardCharsets.UTF_8);
                    out.append(record.partition()).append(' ').append(record.offset()).append(' ').append(value).append('\n');
                    missing--;
                }
            }
        }
        System.out.print(out);
    }
}
