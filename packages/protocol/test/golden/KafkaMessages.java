import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Sets "hex" in every line of a file to the bytes that Kafka's own classes write for the line's message, version and
 * value. README.md beside this file says how to run it.
 */
public class KafkaMessages {
    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        Path file = Path.of(args[0]);
        List<String> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            ObjectNode sample = (ObjectNode) mapper.readTree(line);
            String name = "org.apache.kafka.common.message." + sample.get("message").asText() + "Data";
            short version = (short) sample.get("version").asInt();
            ApiMessage message = (ApiMessage) Class.forName(name + "JsonConverter")
                .getMethod("read", com.fasterxml.jackson.databind.JsonNode.class, short.class)
                .invoke(null, sample.get("value"), version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(buffer), cache, version);
            if (buffer.hasRemaining()) throw new IllegalStateException(line);
            sample.put("hex", HexFormat.of().formatHex(buffer.array()));
            lines.add(mapper.writeValueAsString(sample));
        }
        Files.write(file, lines);
    }
}
