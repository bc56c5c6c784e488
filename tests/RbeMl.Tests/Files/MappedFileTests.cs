using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Text;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

public sealed class MappedFileTests : IDisposable
{
    private static readonly TransformerConfig Config = new() { Width = 64, Heads = 4, Layers = 2, Vocabulary = 50, MaxSequenceLength = 12 };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static RbeLoadOptions Mapped(bool verify) => new() { Map = true, Verify = verify };

    private static TransformerModel<float> Make()
    {
        RbeOptions options = new() { Tile = 64, Format = RbeFormat.Quantized(5) };
        using TransformerModel<float> model = TransformerModel<float>.Create(Config, new RbeOptions { Format = RbeFormat.Sparse(64) }, 7);
        BlockWeights[] blocks =
            [.. Enumerable.Range(0, Config.Layers).Select(i => BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(Config, i), Config, options))];
        return new TransformerModel<float>(model.GetWeights() with { Blocks = blocks });
    }

    private static float[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        return model.Logits([.. Enumerable.Range(0, 20).Select(i => i * 7 % 50)], 2, 10, workspace);
    }

    private string Save(string name = "model.rbe")
    {
        using TransformerModel<float> model = Make();
        ModelFile.Save(_folder.File(name), model);
        return _folder.File(name);
    }

    private static void Flip(string path, string tensor)
    {
        RbeTensorInfo info;
        using (RbeContainer file = RbeContainer.Open(path)) info = file.Find(tensor);
        using FileStream stream = new(path, FileMode.Open, FileAccess.ReadWrite);
        stream.Position = info.Offset + info.ByteLength / 2;
        int old = stream.ReadByte();
        stream.Position--;
        stream.WriteByte((byte)(old ^ 0x40));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Mapped_or_copied_checked_or_not_the_logits_are_the_same(bool map, bool verify)
    {
        string path = Save();
        using TransformerModel<float> model = Make();
        using ModelBundle bundle = ModelFile.Load(path, new RbeLoadOptions { Map = map, Verify = verify });
        Assert.Equal(Logits(model), Logits(bundle.Model));
        foreach ((_, RbeMatrix matrix) in bundle.Model.Matrices)
        {
            Assert.Equal(!map, System.Runtime.InteropServices.MemoryMarshal.TryGetArray(matrix.Base!.Codes, out _));
        }
    }

    [Fact]
    public void A_flipped_byte_of_codes_is_found_unless_checking_is_switched_off()
    {
        string path = Save();
        const string tensor = "blocks.1.feedforward.expand.codes";
        Flip(path, tensor);
        Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => ModelFile.Load(path)).Message);
        Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => ModelFile.Load(path, Mapped(verify: true))).Message);
        Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => ModelFile.Load(path, new RbeLoadOptions { Map = false, Verify = false })).Message);
        Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => RbeInspection.Read(path, verify: true)).Message);
        using (RbeContainer file = RbeContainer.Open(path))
        {
            Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => file.Verify()).Message);
            Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => file.Verify(tensor)).Message);
            file.Verify("blocks.0.feedforward.expand.codes");
        }

        using TransformerModel<float> model = Make();
        using ModelBundle bundle = ModelFile.Load(path, Mapped(verify: false));
        Assert.NotEqual(Logits(model), Logits(bundle.Model)); // the flipped code is really used
    }

    [Fact]
    public void What_is_small_is_checked_always()
    {
        foreach (string tensor in new[] { "blocks.0.attention.query.scales", "blocks.0.attention.query.alphas", "embedding.tokens", "blocks.1.ln2.beta" })
        {
            string path = Save();
            Flip(path, tensor);
            Assert.Contains(tensor, Assert.Throws<RbeFileException>(() => ModelFile.Load(path, Mapped(verify: false))).Message);
        }
    }

    [Fact]
    public void Without_checking_no_page_of_codes_is_read_before_it_is_used()
    {
        if (!OperatingSystem.IsLinux()) return; // resident pages of a mapping are listed there
        const int tile = 128, side = 2048, bits = 8;
        int tiles = side / tile * (side / tile);
        QuantizedTiles frozen = new(tile, tiles, bits, new Half[tiles * tile * tile / QuantizedFormat.GroupSize], new byte[side * side]);
        string path = _folder.File("large.rbe");
        RbeMatrixSet.Save(path,
            [new RbeNamedMatrix("w", new RbeMatrix(side, side, tile, TileTransform.None, [], null, [], frozen, RbeFormat.Quantized(bits)))]);
        using RbeMatrixSet set = RbeMatrixSet.Open(path, Mapped(verify: false));
        RbeMatrix matrix = set.ReadMatrix("w");
        Assert.Equal(0, ResidentBytes(path));
        float[] cells = new float[tile * tile];
        matrix.Base!.Dequantize(17, cells);
        Assert.InRange(ResidentBytes(path), 1, side * side / 4); // one tile of 256, and what the system maps around it
        GC.KeepAlive(matrix);
    }

    [Fact]
    public void Memory_outlives_the_container_and_collections()
    {
        string path = _folder.File("bytes.rbe");
        byte[] bytes = new byte[300_000];
        new Random(5).NextBytes(bytes);
        RbeContainerWriter.Write(path, [], [RbeTensor.From("first", new byte[5]), RbeTensor.From("bytes", bytes), RbeTensor.From("none", Array.Empty<byte>())]);
        ReadOnlyMemory<byte> memory = MapAndDispose(path);
        Collect();
        Assert.True(memory.Span.SequenceEqual(bytes));
        using (System.Buffers.MemoryHandle pin = memory[7..].Pin()) Assert.Equal(bytes[7], Marshal(pin));
        GC.KeepAlive(memory);
    }

    [Fact]
    public void The_mapping_goes_when_nobody_holds_it()
    {
        if (!OperatingSystem.IsLinux()) return; // mappings are listed there
        string path = Save();
        MapAndForget(path);
        for (int i = 0; i < 20 && IsMapped(path); i++) Collect();
        Assert.False(IsMapped(path));
    }

    [Fact]
    public void A_pinned_memory_stays_mapped()
    {
        string path = _folder.File("bytes.rbe");
        byte[] bytes = [.. Enumerable.Range(0, 1000).Select(i => (byte)i)];
        RbeContainerWriter.Write(path, [], [RbeTensor.From("bytes", bytes)]);
        System.Buffers.MemoryHandle pin = PinAndForget(path);
        Collect();
        Assert.Equal(3, Marshal(pin));
        pin.Dispose();
    }

    [Fact]
    public void A_model_may_be_saved_over_its_own_file()
    {
        string path = Save();
        byte[] before = File.ReadAllBytes(path);
        using ModelBundle bundle = ModelFile.Load(path, new RbeLoadOptions { Verify = false });
        float[] logits = Logits(bundle.Model);
        for (int i = 0; i < 3; i++) ModelFile.Save(path, bundle.Model);
        Assert.Equal(before, File.ReadAllBytes(path));
        File.Delete(path);
        Assert.Equal(logits, Logits(bundle.Model));
    }

    [Fact]
    public void Wrong_requests_are_typed_errors()
    {
        string path = Save();
        RbeContainer file = RbeContainer.Open(path);
        Assert.Contains("\"nothing\" is missing", Assert.Throws<RbeFileException>(() => file.Map("nothing")).Message);
        Assert.Contains("expected u8", Assert.Throws<RbeFileException>(() => file.Map("embedding.tokens")).Message);
        Assert.Contains("expected u8 [3]", Assert.Throws<RbeFileException>(() => file.Map("blocks.0.attention.query.codes", 3)).Message);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Map("blocks.0.attention.query.codes"));
    }

    [Fact]
    public void Files_beyond_two_gibibytes_work_and_tensors_beyond_are_refused()
    {
        // The bytes of the large tensor are a hole in the file, which takes no room on most systems.
        const long large = 1L << 31;
        byte[] tail = [1, 2, 3, 4];
        string Entry(string name, long offset, long bytes, ulong hash) =>
            $"{{\"name\":\"{name}\",\"type\":\"u8\",\"shape\":[{bytes}],\"offset\":{offset},\"bytes\":{bytes},\"hash\":\"{hash:x16}\"}}";
        byte[] header =
            Encoding.UTF8.GetBytes(
                $"{{\"metadata\":{{}},\"tensors\":[{Entry("large", 0, large, 0)},{Entry("tail", large, tail.Length, XxHash3.HashToUInt64(tail))}]}}");
        byte[] preface = new byte[32];
        RbeContainerWriter.Magic.CopyTo(preface);
        BinaryPrimitives.WriteUInt32LittleEndian(preface.AsSpan(8), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(preface.AsSpan(16), (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(preface.AsSpan(24), RbeContainerWriter.HeaderHash(preface.AsSpan(0, 24), header));
        string path = _folder.File("large.rbe");
        using (FileStream stream = new(path, FileMode.CreateNew))
        {
            stream.Write(preface);
            stream.Write(header);
            stream.Position = RbeContainerWriter.Align(stream.Position) + large;
            stream.Write(tail);
        }

        using RbeContainer file = RbeContainer.Open(path);
        Assert.Contains("2147483648 bytes", Assert.Throws<RbeFileException>(() => file.Map("large")).Message);
        Assert.Equal(tail, file.Map("tail", 4).ToArray());
        file.Verify("tail");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ReadOnlyMemory<byte> MapAndDispose(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        Assert.True(file.Map("none").IsEmpty);
        return file.Map("bytes");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapAndForget(string path)
    {
        using ModelBundle bundle = ModelFile.Load(path, Mapped(verify: false));
        Assert.True(IsMapped(path));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static System.Buffers.MemoryHandle PinAndForget(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        return file.Map("bytes")[3..].Pin();
    }

    private static unsafe byte Marshal(System.Buffers.MemoryHandle pin) => *(byte*)pin.Pointer;

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }

    private static bool IsMapped(string path) => File.ReadLines("/proc/self/maps").Any(line => line.EndsWith(path, StringComparison.Ordinal));

    // Bytes of a file's mapping that lie in this process's memory.
    private static long ResidentBytes(string path)
    {
        bool here = false;
        long bytes = -1;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.Contains('/', StringComparison.Ordinal) || line.Contains('-', StringComparison.Ordinal))
            {
                here = line.EndsWith(path, StringComparison.Ordinal);
            }

            if (!here || !line.StartsWith("Rss:", StringComparison.Ordinal)) continue;
            bytes = Math.Max(bytes, 0) + 1024 * long.Parse(line.AsSpan(4, line.Length - 7).Trim(), CultureInfo.InvariantCulture);
        }

        return bytes >= 0 ? bytes : throw new InvalidOperationException($"{path} is not mapped.");
    }
}
