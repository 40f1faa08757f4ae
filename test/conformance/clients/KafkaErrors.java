import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.Errors;

/** Prints every error of Kafka's protocol: its code, its name, and whether Kafka's clients may retry. */
public class KafkaErrors {
    public static void main(String[] args) {
        for (Errors error : Errors.values())
            System.out.println(error.code() + " " + error + " " + (error.exception() instanceof RetriableException));
    }
}
