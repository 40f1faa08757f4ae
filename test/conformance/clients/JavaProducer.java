import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A line producer on Kafka's Java client with nothing configured that is not asked for, so that it is idempotent: BROKER
 * TOPIC [NAME=VALUE …]. The lines that it reads go to partition 0 in order. With a transactional.id it begins a transaction.
 */
public class JavaProducer {
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("key.serializer", ByteArraySerializer.class.getName());
        config.put("value.serializer", ByteArraySerializer.class.getName());
        for (int i = 2; i < args.length; i++) {
            String[] parts = args[i].split("=", 2);
            config.put(parts[0], parts[1]);
        }
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            if (config.containsKey("transactional.id")) producer.initTransactions();
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String line; (line = lines.readLine()) != null; ) {
                byte[] value = line.getBytes(StandardCharsets.UTF_8);
                sent.add(producer.send(new ProducerRecord<>(args[1], 0, null, value)));
            }
            for (Future<RecordMetadata> each : sent) each.get();
        }
    }
}
