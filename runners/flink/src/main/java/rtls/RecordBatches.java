package rtls;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.WireFormat;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.PTransform;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.Row;
import org.joda.time.Duration;
import org.joda.time.Instant;

/**
 * What a bundle holds of Kafka's records as one element: columns, as KafkaRecords of proto/state.proto has them.
 *
 * <p>Between Java and Python every element is coded, handed over and decoded by itself, a row of nine fields a record. So
 * records leave Java by the bundle.
 */
public final class RecordBatches extends PTransform<PCollection<Row>, PCollection<byte[]>> {
  private static final long serialVersionUID = 1L;

  /** Records that leave together at the most: bundles can be huge. */
  private static final int MOST = 1000;

  /** Bytes of values after which they leave: channels have their limits. */
  private static final int MOST_BYTES = 1 << 20;

  /** For the expansion service. */
  public RecordBatches() {}

  @Override
  public PCollection<byte[]> expand(PCollection<Row> records) {
    return records.apply("Gather", ParDo.of(new GatherFn())).setCoder(ByteArrayCoder.of());
  }

  private static final class GatherFn extends DoFn<Row, byte[]> {
    private static final long serialVersionUID = 1L;

    private transient List<Row> records;
    private transient int bytes;
    private transient Instant earliest;

    @StartBundle
    public void begin() {
      clear();
    }

    @ProcessElement
    public void take(@Element Row record, @Timestamp Instant at, OutputReceiver<byte[]> output) {
      records.add(record);
      byte[] value = record.getBytes("value");
      bytes += value == null ? 0 : value.length;
      earliest = at.isBefore(earliest) ? at : earliest;
      if (records.size() >= MOST || bytes >= MOST_BYTES) {
        output.outputWithTimestamp(encoded(), earliest);
        clear();
      }
    }

    @FinishBundle
    public void end(FinishBundleContext context) {
      if (!records.isEmpty()) {
        context.output(encoded(), earliest, GlobalWindow.INSTANCE);
        clear();
      }
    }

    /** A batch is at the time of its earliest record, which may be before that of the record that fills it. */
    @Override
    @SuppressWarnings("deprecation")
    public Duration getAllowedTimestampSkew() {
      return Duration.millis(Long.MAX_VALUE);
    }

    private void clear() {
      records = new ArrayList<>();
      bytes = 0;
      earliest = GlobalWindow.TIMESTAMP_MAX_VALUE;
    }

    private byte[] encoded() {
      ByteArrayOutputStream buffer = new ByteArrayOutputStream(bytes + 32 * records.size());
      CodedOutputStream output = CodedOutputStream.newInstance(buffer);
      try {
        long[] column = new long[records.size()];
        for (int index = 0; index < column.length; index++) {
          column[index] = records.get(index).getInt32("partition");
        }
        write(output, 1, column);
        for (int index = 0; index < column.length; index++) {
          column[index] = records.get(index).getInt64("offset");
        }
        write(output, 2, column);
        for (int index = 0; index < column.length; index++) {
          column[index] = records.get(index).getInt64("timestamp");
        }
        write(output, 3, column);
        for (Row record : records) {
          byte[] value = record.getBytes("value");
          output.writeByteArray(4, value == null ? new byte[0] : value);
        }
        output.flush();
      } catch (IOException error) {
        throw new UncheckedIOException(error); // a buffer in memory has no such errors
      }
      return buffer.toByteArray();
    }

    private static void write(CodedOutputStream output, int field, long[] column) throws IOException {
      int size = 0;
      for (long number : column) {
        size += CodedOutputStream.computeInt64SizeNoTag(number);
      }
      output.writeTag(field, WireFormat.WIRETYPE_LENGTH_DELIMITED);
      output.writeUInt32NoTag(size);
      for (long number : column) {
        output.writeInt64NoTag(number);
      }
    }
  }
}
