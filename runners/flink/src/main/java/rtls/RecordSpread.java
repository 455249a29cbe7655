package rtls;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.PTransform;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;

/**
 * The records for Kafka out of columns, as ProducedRecords of proto/state.proto has them: the other end of
 * {@link RecordBatches}.
 */
public final class RecordSpread extends PTransform<PCollection<byte[]>, PCollection<KV<byte[], byte[]>>> {
  private static final long serialVersionUID = 1L;

  /** For the expansion service. */
  public RecordSpread() {}

  @Override
  public PCollection<KV<byte[], byte[]>> expand(PCollection<byte[]> packed) {
    return packed
        .apply("Spread", ParDo.of(new SpreadFn()))
        .setCoder(KvCoder.of(ByteArrayCoder.of(), ByteArrayCoder.of()));
  }

  /** Hands on each key with its value. */
  static void spread(byte[] packed, BiConsumer<byte[], byte[]> to) throws IOException {
    List<byte[]> keys = new ArrayList<>();
    List<byte[]> values = new ArrayList<>();
    CodedInputStream input = CodedInputStream.newInstance(packed);
    while (!input.isAtEnd()) {
      int field = WireFormat.getTagFieldNumber(input.readTag());
      (field == 1 ? keys : values).add(input.readByteArray());
    }
    if (keys.size() != values.size()) {
      throw new IllegalArgumentException(keys.size() + " keys for " + values.size() + " values");
    }
    for (int index = 0; index < keys.size(); index++) {
      to.accept(keys.get(index), values.get(index));
    }
  }

  /** The step that spreads; on Flink its work is done by the sink, see {@link BatchWrites}. */
  static final class SpreadFn extends DoFn<byte[], KV<byte[], byte[]>> {
    private static final long serialVersionUID = 1L;

    @ProcessElement
    public void take(@Element byte[] packed, OutputReceiver<KV<byte[], byte[]>> output) throws IOException {
      spread(packed, (key, value) -> output.output(KV.of(key, value)));
    }
  }
}
