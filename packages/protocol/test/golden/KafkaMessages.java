import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads lines of JSON, each with a message, a version and a value in the form of Kafka's converters, and writes them again with
 * "hex": the bytes that Kafka's own classes write.
 */
public class KafkaMessages {
    private static final String[] CLASSES = {
        "org.apache.kafka.common.message.%sData",
        "org.apache.kafka.common.message.%s",
        "org.apache.kafka.coordinator.group.generated.%s",
        "org.apache.kafka.coordinator.transaction.generated.%s",
    };

    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null;) {
            ObjectNode sample = (ObjectNode) mapper.readTree(line);
            short version = (short) sample.get("version").asInt();
            try {
                ApiMessage message = read(sample.get("message").asText(), sample.get("value"), version);
                sample.put("hex", HexFormat.of().formatHex(write(sample.get("message").asText(), message, version)));
            } catch (Exception e) {
                throw new IllegalStateException(line, e);
            }
            out.println(mapper.writeValueAsString(sample));
        }
        out.flush();
    }

    private static ApiMessage read(String name, JsonNode value, short version) throws Exception {
        for (String pattern : CLASSES) {
            Class<?> converter;
            try {
                converter = Class.forName(pattern.formatted(name) + "JsonConverter");
            } catch (ClassNotFoundException e) {
                continue;
            }
            return (ApiMessage) converter.getMethod("read", JsonNode.class, short.class).invoke(null, value, version);
        }
        throw new ClassNotFoundException(name);
    }

    private static byte[] write(String name, ApiMessage message, short version) {
        // What is kept in records, or sent as bytes in other messages, has its type or version in front.
        if (name.endsWith("Key")) return MessageUtil.toCoordinatorTypePrefixedBytes(message);
        if (name.endsWith("Value") || name.startsWith("ConsumerProtocol")) return MessageUtil.toVersionPrefixedBytes(version, message);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException("the size was " + buffer.capacity());
        return buffer.array();
    }
}
