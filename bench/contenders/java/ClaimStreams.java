import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The claim protocol as a Kafka Streams application: one answer for each command, the claims in a state store.
 *
 * <p>Arguments: input topic, output topic, rocksdb or memory, then NAME=VALUE settings of Kafka Streams. It says
 * "ready" when it runs, and ends when its standard input does.
 */
public class ClaimStreams {
  static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws IOException, InterruptedException {
    Properties settings = new Properties();
    for (int i = 3; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      settings.put(pair[0], pair[1]);
    }
    KafkaStreams streams = new KafkaStreams(topology(arguments[0], arguments[1], arguments[2]), settings);
    streams.setUncaughtExceptionHandler(
        error -> {
          System.err.println(error);
          System.exit(1);
          return null;
        });
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.RUNNING) {
            System.out.println("ready");
          }
        });
    streams.start();
    while (System.in.read() >= 0) {}
    streams.close();
  }

  static Topology topology(String input, String output, String kind) {
    var supplier =
        kind.equals("rocksdb") ? Stores.persistentKeyValueStore("claims") : Stores.inMemoryKeyValueStore("claims");
    var store = Stores.keyValueStoreBuilder(supplier, Serdes.String(), Serdes.ByteArray()).withCachingEnabled();
    return new Topology()
        .addSource("commands", new StringDeserializer(), new ByteArrayDeserializer(), input)
        .addProcessor("claims", Claims::new, "commands")
        .addStateStore(store, "claims")
        .addSink("answers", output, new StringSerializer(), new ByteArraySerializer(), "claims");
  }

  static class Claims implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.store = context.getStateStore("claims");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        JsonNode body = JSON.readTree(record.value()).get("body");
        ObjectNode answer = decide(record.key(), body);
        context.forward(record.withValue(JSON.writeValueAsBytes(answer)));
      } catch (IOException error) {
        throw new IllegalArgumentException("no command: " + record.key(), error);
      }
    }

    private ObjectNode decide(String fingerprint, JsonNode body) throws IOException {
      byte[] kept = store.get(fingerprint);
      ObjectNode claim = kept == null ? JSON.createObjectNode() : (ObjectNode) JSON.readTree(kept);
      String said = say(claim, body);
      if (!said.equals("done")) {
        store.put(fingerprint, JSON.writeValueAsBytes(claim));
      }
      ObjectNode answer = JSON.createObjectNode();
      answer.put("said", said).put("fingerprint", fingerprint);
      answer.put("token", claim.get("token").asText()).put("task", claim.get("task").asText());
      answer.put("root", claim.get("root").asText()).put("output", claim.path("output").asText());
      return answer;
    }

    private String say(ObjectNode claim, JsonNode body) {
      if (body.get("type").asText().equals("exited")) {
        claim.put("status", "done").put("output", body.get("output").asText());
        return "completed";
      }
      if (claim.isEmpty()) {
        var place = context.recordMetadata().orElseThrow();
        claim.put("status", "running").put("token", place.partition() + "." + place.offset());
        claim.put("task", body.get("task").asText()).put("root", body.get("root").asText());
        return "granted";
      }
      return claim.get("status").asText().equals("done") ? "done" : "waiting";
    }
  }
}
