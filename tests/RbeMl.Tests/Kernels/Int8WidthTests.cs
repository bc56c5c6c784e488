using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

/// <summary>What int8 computes is the same on machines with other vectors: each child process has some of them switched off.</summary>
public sealed unsafe class Int8WidthTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Columns = 3;

    [Theory]
    [InlineData("DOTNET_EnableAVX512=0")]
    [InlineData("DOTNET_EnableAVX2=0")]
    [InlineData("DOTNET_EnableAVX=0")]
    [InlineData("DOTNET_EnableHWIntrinsic=0")]
    public void Every_width_gives_the_same_bits(params string[] environment)
    {
        string[] here = Lines(Bits()), there = Lines(ChildProgram.Run(Bits, environment));
        output.WriteLine($"{here[0]}; with {environment[0]}: {there[0]}");
        foreach ((string line, string other) in here.Zip(there)) output.WriteLine(line == other ? line : $"{line} | {other}");
        Assert.Equal(here[1..], there[1..]);

        static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Hashes of products of integers, of a cache in int8 and of a model's logits, a line each, after one that names the vectors.</summary>
    internal static string Bits()
    {
        List<string> lines = [$"lanes: {Wide.Lanes}, AVX2: {Avx2.IsSupported}, VNNI: {AvxVnni.IsSupported}"];
        foreach (RbeFormat format in (RbeFormat[])[RbeFormat.Quantized(2), RbeFormat.Quantized(3), RbeFormat.Quantized(4), RbeFormat.Quantized(6),
            RbeFormat.Quantized(8), RbeFormat.Trellis(4)])
        {
            foreach (int tile in (int[])[32, 64, 128]) lines.Add($"{format.GetType().Name} {tile} {Product(format, tile):x16}");
        }

        foreach (KvFormat format in (KvFormat[])[KvFormat.Int8, KvFormat.F16]) lines.Add($"cache {format} {Cache(format):x16}");
        lines.Add($"model, float activations {Model(ActivationPrecision.Float32):x16}");
        lines.Add($"model, int8 activations and cache {Model(ActivationPrecision.Int8):x16}");
        return string.Join('\n', lines);
    }

    private static ulong Hash<T>(ReadOnlySpan<T> values)
        where T : unmanaged => XxHash3.HashToUInt64(MemoryMarshal.AsBytes(values));

    private static ulong Product(RbeFormat format, int tile)
    {
        const int Width = 64;
        FrozenTiles q = Weights(format, tile);
        int segment = Int8Activations.SegmentOf(tile);
        using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(Columns * tile * Width, 1)), y = LaneCases.Guarded(Numbers.Normal(tile * Width, 2));
        using GuardedBuffer<byte> codes = new((int)Int8Activations.Bytes(Columns * tile, segment, Width)), scratch = new(Int8Kernel.ScratchBytes(tile));
        new Int8Activations(codes.Pointer, segment, Width).Quantize(x.Pointer, Columns * tile);
        Int8Kernel.Multiply(q, Columns, 0, 0, Columns, new(x.Pointer, 0), new(codes.Pointer, 0), new(y.Pointer, 0), new(1, Width, Width), scratch.Pointer);
        return Hash<float>(y.Span) ^ (31 * Hash<byte>(codes.Span));
    }

    // Codes and scales of no encoder, so that nothing else is tested.
    private static FrozenTiles Weights(RbeFormat format, int tile)
    {
        int bits = format is TrellisFormat trellis ? trellis.Bits : ((QuantizedFormat)format).Bits;
        Random random = new(tile + bits);
        Half[] Scales(int count) => [.. Enumerable.Range(0, count).Select(_ => (Half)(0.01 + random.NextDouble()))];
        byte[] codes = new byte[format is TrellisFormat ? (int)TrellisTiles.CodeBytes(tile, Columns, bits) : Columns * tile * tile * bits / 8];
        random.NextBytes(codes);
        return format is TrellisFormat
            ? new TrellisTiles(tile, Columns, bits, TrellisScan.RowMajor, Scales(Columns), codes)
            : new QuantizedTiles(tile, Columns, bits, Scales(Columns * tile * tile / QuantizedFormat.GroupSize), codes);
    }

    private static ulong Cache(KvFormat format)
    {
        const int Features = 32, Positions = 32;
        using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(Features * Positions, 3)), read = new(Features * Positions);
        using GuardedBuffer<byte> codes = new(Features * Positions * KvRows.SizeOf(format));
        using GuardedBuffer<float> scales = new(Positions);
        KvRows rows = new(format, (nint)codes.Pointer, (nint)scales.Pointer, Positions);
        Assert.True(KvKernel.Store(rows, 0, x.Pointer, Features, Positions, 0, Positions));
        KvKernel.Load(rows, Features, Positions, read.Pointer, Positions);
        return Hash<byte>(codes.Span) ^ (31 * Hash<float>(read.Span));
    }

    private static ulong Model(ActivationPrecision activations)
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 2, Vocabulary = 50, MaxSequenceLength = 32 };
        using TransformerModel<float> dense =
            new(TransformerWeights.CreateUntrained(config, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(8) }, 1)),
                model = dense.ToInference(activations: activations);
        using Workspace<float> workspace = new(1);
        using KvCache<float> cache = new(config, 1, 32, activations == ActivationPrecision.Int8 ? KvFormat.Int8 : KvFormat.F32);
        return Hash<float>(model.Logits([.. Enumerable.Range(0, 20)], 1, 20, workspace, cache));
    }
}
