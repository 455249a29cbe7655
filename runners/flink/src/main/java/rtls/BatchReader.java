package rtls;

import java.io.IOException;
import java.lang.reflect.Field;
import org.apache.beam.sdk.io.Source;
import org.apache.beam.sdk.io.UnboundedSource.UnboundedReader;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.record.TimestampType;
import org.checkerframework.checker.nullness.qual.Nullable;
import org.joda.time.Duration;
import org.joda.time.Instant;

/**
 * Reads records of Kafka by the batch: what is at hand, and never waits for more.
 *
 * <p>KafkaIO's reader waits for records for some 10 ms when it has none, under Flink's lock and with what has been
 * gathered held back. So it is told each time not to wait.
 */
final class BatchReader extends Source.Reader<byte[]> {
  /** Records that leave together at the most. */
  private static final int MOST = 4000;

  private final UnboundedReader<KafkaRecord<byte[], byte[]>> records;
  private final PolledRecords polled;
  private final Field patience;
  private final RecordColumns batch = new RecordColumns(MOST);
  private long earliest;
  private long bytes;

  BatchReader(UnboundedReader<KafkaRecord<byte[], byte[]>> records) throws ReflectiveOperationException {
    this.records = records;
    polled = new PolledRecords(records);
    patience = Private.field(records.getClass(), "recordsDequeuePollTimeout");
  }

  /** Starts, and says whether there is a batch. */
  @Override
  public boolean start() throws IOException {
    return gather(records.start());
  }

  /** Goes on to the next batch; false where no record is at hand. */
  @Override
  public boolean advance() throws IOException {
    return gather(hasNext());
  }

  private boolean gather(boolean found) throws IOException {
    batch.clear();
    earliest = Long.MAX_VALUE;
    bytes = 0;
    while (found) {
      KafkaRecord<byte[], byte[]> record = records.getCurrent();
      batch.add(record.getPartition(), record.getOffset(), record.getTimestamp(), record.getKV().getValue());
      bytes += length(record.getKV().getKey()) + length(record.getKV().getValue());
      earliest = Math.min(earliest, records.getCurrentTimestamp().getMillis());
      if (!batch.isFull()) {
        polled.read(this::take);
      }
      found = !batch.isFull() && hasNext();
    }
    return batch.size() > 0;
  }

  private boolean take(ConsumerRecord<byte[], byte[]> record) {
    batch.add(record.partition(), record.offset(), record.timestamp(), record.value());
    bytes += length(record.key()) + length(record.value());
    if (record.timestampType() == TimestampType.LOG_APPEND_TIME) { // else its time is that of the record before it
      earliest = Math.min(earliest, record.timestamp());
    }
    return !batch.isFull();
  }

  private static int length(byte @Nullable [] part) {
    return part == null ? 0 : part.length;
  }

  private boolean hasNext() throws IOException {
    try {
      patience.set(records, Duration.ZERO); // where it finds records, it gets more patient by itself
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error); // it has been made accessible
    }
    return records.advance();
  }

  /** Returns a KafkaRecords message. */
  @Override
  public byte[] getCurrent() {
    return batch.encoded();
  }

  /** Returns the time of the batch's earliest record. */
  @Override
  public Instant getCurrentTimestamp() {
    return Instant.ofEpochMilli(earliest);
  }

  /** Returns how many records the batch has; 0 where none were at hand. */
  int size() {
    return batch.size();
  }

  /** Returns how many bytes the batch's keys and values have. */
  long bytes() {
    return bytes;
  }

  /** Returns how many bytes are still to be read, by and large; negative where that is not known. */
  long backlogBytes() {
    return records.getSplitBacklogBytes();
  }

  /** A batch is of no source that Beam knows. */
  @Override
  public Source<byte[]> getCurrentSource() {
    throw new UnsupportedOperationException();
  }

  @Override
  public void close() throws IOException {
    records.close();
  }
}
