using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>ONNX files that are damaged, cut, or made to mislead.</summary>
public sealed class OnnxHostileTests : IDisposable
{
    private const long Slack = 1 << 20;
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_cut_is_refused_or_read_without_a_claim_being_believed()
    {
        byte[] whole = new SmallOnnxBert().File.ToArray();
        for (int length = 0; length < whole.Length; length += 1 + (length / 64))
        {
            string path = Write(whole[..length]);
            Assert.ThrowsAny<RbeException>(() => OnnxEncoder.Open(path).Dispose());
        }
    }

    [Fact]
    public void Every_flipped_byte_gives_a_model_or_a_typed_error()
    {
        byte[] whole = new SmallOnnxBert(new OnnxStyle { NormNodes = true, FoldedConstants = true }).File.ToArray();
        for (int at = 0; at < whole.Length; at += 7)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= (byte)(1 << (at % 8));
            string path = Write(damaged);
            try
            {
                using OnnxEncoder encoder = OnnxEncoder.Open(path);
                foreach (string name in encoder.Names) encoder.Read(name);
            }
            catch (RbeException)
            {
                // Promised.
            }
        }
    }

    [Fact]
    public void Claims_beyond_the_file_cost_nothing()
    {
        foreach (byte[] bytes in (byte[][])
        [
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07], // a graph of 2 GB
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], // of 2^64 - 1
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], // a number without an end
            [0x00], [0x0B], [0x3D, 1, 2], [],
        ])
        {
            string path = Write(bytes);
            long before = GC.GetAllocatedBytesForCurrentThread();
            RbeFileException error = Assert.Throws<RbeFileException>(() => OnnxModel.Open(path).Dispose());
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < Slack, "a length that was not checked was allocated");
            Assert.Contains("is no ONNX file, or it is damaged", error.Message);
        }
    }

    [Theory]
    [InlineData(new[] { long.MaxValue, 2 }, "float [9223372036854775807, 2], has 16 bytes")]
    [InlineData(new[] { 3L }, "float [3], has 16 bytes")]
    [InlineData(new[] { -4L }, "no sound shape")]
    [InlineData(new long[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4 }, "no sound shape")]
    public void A_shape_that_its_values_do_not_fill_is_refused(long[] shape, string message)
    {
        OnnxWriter file = new();
        file.Add("a", new float[4], shape);
        string path = Write(file.ToArray());
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => OnnxModel.Open(path).Dispose()).Message);
    }

    [Fact]
    public void Circles_of_nodes_end()
    {
        SmallOnnxBert bert = new();
        bert.File.Node("Identity", ["loop.b.bias"], "loop.a.bias");
        bert.File.Node("Identity", ["loop.a.bias"], "loop.b.bias");
        bert.File.Node("Transpose", ["loop.matrix"], "loop.matrix");
        bert.File.Node("Add", [bert.File.Node("MatMul", ["x", "loop.matrix"], "loop.product"), "embeddings.LayerNorm.bias"], "loop.sum");
        using OnnxEncoder encoder = OnnxEncoder.Open(Write(bert.File.ToArray()));
        Assert.DoesNotContain(encoder.Names, name => name.StartsWith("loop", StringComparison.Ordinal));
    }

    [Fact]
    public void External_values_doubled_names_and_missing_data_are_named()
    {
        OnnxWriter external = new();
        external.Add(OnnxWriter.Header("a", 1, [2]).Message(13,
            new ProtoWriter().Text(1, "location").Text(2, "model.onnx_data")).Number(14, 1));
        external.Add(OnnxWriter.Header("b", 1, [2]).Float(4, 1).Float(4, 2));
        external.Add("c", new sbyte[2], [2]);
        using (OnnxModel model = OnnxModel.Open(Write(external.ToArray())))
        {
            Assert.Contains("in another file, which is not read", Message("a"));
            Assert.Contains("as one range of bytes", Message("b"));
            Assert.Contains("holds \"c\" as int8 [2]", Message("c"));
            string Message(string name) => Assert.Throws<RbeFileException>(() => model.Floats(model.Tensors[name])).Message;
        }

        OnnxWriter twice = new();
        twice.Add("a", new float[1], [1]);
        twice.Add("a", new float[1], [1]);
        Assert.Contains("the tensor \"a\" twice",
            Assert.Throws<RbeFileException>(() => OnnxModel.Open(Write(twice.ToArray())).Dispose()).Message);
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => OnnxModel.Open(_folder.File("none.onnx"))).Message);
    }

    private string Write(byte[] bytes)
    {
        string path = _folder.File("model.onnx");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
