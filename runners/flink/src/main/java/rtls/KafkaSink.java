package rtls;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * Writes records to a topic; each element is a ProducedRecords message.
 *
 * <p>A checkpoint is taken only when the broker has acknowledged all that came before it. So each record is written at least
 * once; between checkpoints nothing waits for the broker.
 */
final class KafkaSink extends AbstractStreamOperator<Void>
    implements OneInputStreamOperator<WindowedValue<byte[]>, Void> {
  private static final long serialVersionUID = 1L;

  /** How long is waited on closing for what is under way: after a failure, it will be written again. */
  private static final Duration CLOSING = Duration.ofSeconds(5);

  private final String topic;
  private final HashMap<String, Object> configuration;

  private transient KafkaProducer<byte[], byte[]> producer;
  private transient volatile Exception failure;

  KafkaSink(String topic, Map<String, Object> configuration) {
    this.topic = topic;
    this.configuration = new HashMap<>(configuration);
    setChainingStrategy(ChainingStrategy.ALWAYS);
  }

  @Override
  public void open() throws Exception {
    super.open();
    producer = new KafkaProducer<>(configuration);
  }

  @Override
  public void processElement(StreamRecord<WindowedValue<byte[]>> element) throws IOException {
    requireNoFailure();
    RecordSpread.spread(element.getValue().getValue(), this::send);
  }

  private void send(byte[] key, byte[] value) {
    producer.send(new ProducerRecord<>(topic, key, value), this::sent);
  }

  private void sent(RecordMetadata record, Exception error) {
    if (error != null && failure == null) {
      failure = error;
    }
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpoint) throws Exception {
    flush();
  }

  @Override
  public void finish() throws Exception {
    flush();
  }

  private void flush() throws IOException {
    producer.flush();
    requireNoFailure();
  }

  private void requireNoFailure() throws IOException {
    if (failure != null) {
      throw new IOException("cannot write to the topic " + topic, failure);
    }
  }

  @Override
  public void close() throws Exception {
    if (producer != null) {
      producer.close(CLOSING);
    }
    super.close();
  }
}
