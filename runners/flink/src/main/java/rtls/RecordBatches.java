package rtls;

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

  /** For the expansion service. */
  public RecordBatches() {}

  @Override
  public PCollection<byte[]> expand(PCollection<Row> records) {
    return records.apply("Gather", ParDo.of(new GatherFn())).setCoder(ByteArrayCoder.of());
  }

  /** The step that gathers; on Flink its work is done by the source, see {@link BatchReads}. */
  static final class GatherFn extends DoFn<Row, byte[]> {
    private static final long serialVersionUID = 1L;

    private transient RecordColumns records;
    private transient Instant earliest;

    @StartBundle
    public void begin() {
      records = new RecordColumns(MOST);
      earliest = GlobalWindow.TIMESTAMP_MAX_VALUE;
    }

    @ProcessElement
    public void take(@Element Row record, @Timestamp Instant at, OutputReceiver<byte[]> output) {
      records.add(
          record.getInt32("partition"), record.getInt64("offset"), record.getInt64("timestamp"), record.getBytes("value"));
      earliest = at.isBefore(earliest) ? at : earliest;
      if (records.isFull()) {
        output.outputWithTimestamp(records.encoded(), earliest);
        begin();
      }
    }

    @FinishBundle
    public void end(FinishBundleContext context) {
      if (records.size() > 0) {
        context.output(records.encoded(), earliest, GlobalWindow.INSTANCE);
      }
    }

    /** A batch is at the time of its earliest record, which may be before that of the record that fills it. */
    @Override
    @SuppressWarnings("deprecation")
    public Duration getAllowedTimestampSkew() {
      return Duration.millis(Long.MAX_VALUE);
    }
  }
}
