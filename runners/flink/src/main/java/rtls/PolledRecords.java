package rtls;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Predicate;
import org.apache.beam.sdk.io.UnboundedSource.UnboundedReader;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.beam.sdk.io.kafka.KafkaTimestampType;
import org.apache.beam.sdk.io.kafka.TimestampPolicy;
import org.apache.beam.sdk.values.KV;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.checkerframework.checker.nullness.qual.Nullable;

/**
 * The records that KafkaIO's reader has polled and not yet read.
 *
 * <p>For each record the reader makes objects, asks its clock and counts in seven ways. Of many records it is enough to do so
 * for the last of each partition: offset and watermark are then what they are had the reader read them all.
 */
final class PolledRecords {
  private final List<Partition> partitions = new ArrayList<>();

  PolledRecords(UnboundedReader<KafkaRecord<byte[], byte[]>> reader) throws ReflectiveOperationException {
    for (Object state : (List<?>) Private.field(reader.getClass(), "partitionStates").get(reader)) {
      partitions.add(new Partition(state));
    }
  }

  /**
   * Reads them, a record of each partition in turn.
   *
   * @param taken takes a record, and says whether it takes more
   */
  void read(Predicate<ConsumerRecord<byte[], byte[]>> taken) {
    try {
      for (Partition partition : partitions) {
        partition.begin();
      }
      readInTurn(taken);
      for (Partition partition : partitions) {
        partition.end();
      }
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error); // all has been made accessible
    }
  }

  private void readInTurn(Predicate<ConsumerRecord<byte[], byte[]>> taken) {
    boolean found = true;
    while (found) {
      found = false;
      for (Partition partition : partitions) {
        if (partition.records.hasNext()) {
          partition.last = partition.records.next();
          if (!taken.test(partition.last)) {
            return;
          }
          found = true;
        }
      }
    }
  }

  /** What the reader knows of a partition. */
  private static final class Partition {
    private final Object state;
    private final Field recordsField;
    private final Method consumed;
    private final Method context;
    private final TimestampPolicy<byte[], byte[]> times;

    private Iterator<ConsumerRecord<byte[], byte[]>> records;
    private @Nullable ConsumerRecord<byte[], byte[]> last;

    @SuppressWarnings("unchecked")
    Partition(Object state) throws ReflectiveOperationException {
      this.state = state;
      recordsField = Private.field(state.getClass(), "recordIter");
      consumed = Private.method(state.getClass(), "recordConsumed", long.class, int.class);
      context = Private.method(state.getClass(), "mkTimestampPolicyContext");
      times = (TimestampPolicy<byte[], byte[]>) Private.field(state.getClass(), "timestampPolicy").get(state);
    }

    @SuppressWarnings("unchecked")
    void begin() throws IllegalAccessException {
      records = (Iterator<ConsumerRecord<byte[], byte[]>>) recordsField.get(state);
      last = null;
    }

    /** Does what the reader does when it has read a record. */
    void end() throws ReflectiveOperationException {
      if (last == null) {
        return;
      }
      int size = Math.max(0, last.serializedKeySize()) + Math.max(0, last.serializedValueSize());
      consumed.invoke(state, last.offset(), size);
      times.getTimestampForRecord((TimestampPolicy.PartitionContext) context.invoke(state), asBeams(last));
    }

    private static KafkaRecord<byte[], byte[]> asBeams(ConsumerRecord<byte[], byte[]> record) {
      return new KafkaRecord<>(
          record.topic(),
          record.partition(),
          record.offset(),
          record.timestamp(),
          KafkaTimestampType.forOrdinal(record.timestampType().ordinal()),
          record.headers(),
          KV.of(record.key(), record.value()));
    }
  }
}
