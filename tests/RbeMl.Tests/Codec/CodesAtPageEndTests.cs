using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Numerics;
using RbeMl.Tests.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Quantised codes that start or end where memory does: vectors may read neither before nor after them. A read there ends the process.</summary>
public sealed unsafe class CodesAtPageEndTests
{
    public static TheoryData<int, int> Cases
    {
        get
        {
            TheoryData<int, int> cases = [];
            foreach (int tile in (int[])[32, 64, 128])
            {
                for (int bits = 3; bits <= 8; bits++) cases.Add(tile, bits);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Coefficients_are_decoded_from_the_codes_alone(int tile, int bits)
    {
        using Guarded guarded = new(tile, bits);
        float[] expected = new float[tile * tile], actual = new float[tile * tile];
        for (int t = 0; t < Guarded.Count; t++)
        {
            guarded.Heap.DequantizeScalar(t, expected);
            Decode(guarded.Tiles.DequantizeScalar);
            Decode((index, values) => guarded.Tiles.Dequantize(index, values));
            if (Avx2.IsSupported) Decode(guarded.Tiles.DequantizeAvx2);
            if (Avx512BW.IsSupported) Decode(guarded.Tiles.DequantizeAvx512);

            void Decode(Way way)
            {
                actual.AsSpan().Fill(float.NaN);
                way(t, actual);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Levels_are_decoded_from_the_codes_alone(int tile, int bits)
    {
        using Guarded guarded = new(tile, bits);
        float[] scales = new float[tile * tile / Math.Min(tile, 64)];
        using GuardedBuffer<byte> expected = new(tile * tile), actual = new(tile * tile);
        fixed (float* s = scales)
        {
            for (int t = 0; t < Guarded.Count; t++)
            {
                guarded.Heap.DecodeLevelsScalar(t, expected.Pointer, s);
                guarded.Tiles.DecodeLevelsScalar(t, actual.Pointer, s);
                Check();
                guarded.Tiles.DecodeLevels(t, actual.Pointer, s);
                Check();
                if (Avx2.IsSupported)
                {
                    guarded.Tiles.LevelsAvx2(t, actual.Pointer);
                    Check();
                }

                if (!Avx512Vbmi.IsSupported) continue;
                guarded.Tiles.LevelsVbmi(t, actual.Pointer);
                Check();
            }
        }

        void Check()
        {
            Assert.True(expected.Span.SequenceEqual(actual.Span));
            actual.Span.Clear();
        }
    }

    // Each way has the bits that it has with codes in the middle of memory; those are compared with decoded tiles elsewhere.
    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_read_the_codes_alone(int tile, int bits)
    {
        using Guarded guarded = new(tile, bits);
        foreach ((int first, int count) in ((int, int)[])[(0, Guarded.Count), (0, 1), (Guarded.Count - 1, 1)])
        {
            using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(count * tile, 1));
            Same((q, y, scratch) => q.MultiplyVector(first, count, x.Pointer, (float*)y, (float*)scratch));
            Same((q, y, scratch) => q.MultiplyDecoded(first, count, x.Pointer, (float*)y, (float*)scratch));
            if (Avx2.IsSupported && Fma.IsSupported) Sums(tile == 32 ? 4 : 8, (q, sums) => q.ProductPairs(first, count, x.Pointer, (float*)sums));
            if (Avx512BW.IsSupported) Sums(16, (q, sums) => q.ProductAvx512(first, count, x.Pointer, (float*)sums));
            if (Avx512Vbmi.IsSupported)
            {
                Sums(tile == 32 || (tile == 64 && bits == 4) ? 8 : 16, (q, sums) => q.ProductWords(first, count, x.Pointer, (float*)sums));
            }
        }

        void Sums(int lanes, Action<QuantizedTiles, nint> product) => Same((q, y, scratch) =>
        {
            new Span<float>((float*)scratch, tile * lanes).Clear();
            product(q, scratch);
            VectorKernel.AddSums((float*)scratch, lanes, tile, (float*)y);
        });

        void Same(Action<QuantizedTiles, nint, nint> way)
        {
            using GuardedBuffer<float> expected = new(tile), actual = new(tile), scratch = new(guarded.Heap.VectorScratch);
            way(guarded.Heap, (nint)expected.Pointer, (nint)scratch.Pointer);
            way(guarded.Tiles, (nint)actual.Pointer, (nint)scratch.Pointer);
            Assert.Contains(expected.Span.ToArray(), v => v != 0);
            Assert.Equal(expected.Span.ToArray(), actual.Span.ToArray());
        }
    }

    private delegate void Way(int tileIndex, Span<float> coefficients);

    /// <summary>The same codes with room around them, and at the end of a page.</summary>
    private sealed class Guarded : IDisposable
    {
        public const int Count = 2;
        private readonly GuardedBuffer<byte> _codes;
        private readonly IDisposable _memory;

        public Guarded(int tile, int bits)
        {
            Random random = new(tile + bits);
            int length = Count * tile * tile * bits / 8, room = 1 << 12;
            byte[] codes = new byte[length + (2 * room)];
            random.NextBytes(codes);
            Half[] scales = [.. Enumerable.Range(0, Count * tile * tile / 64).Select(_ => (Half)(0.1 + random.NextDouble()))];
            Heap = new QuantizedTiles(tile, Count, bits, scales, codes.AsMemory(room, length));
            _codes = new GuardedBuffer<byte>(length);
            Heap.Codes.Span.CopyTo(_codes.Span);
            GuardedMemory memory = new(_codes);
            _memory = memory;
            Tiles = new QuantizedTiles(tile, Count, bits, scales, memory.Memory);
        }

        public QuantizedTiles Heap { get; }

        public QuantizedTiles Tiles { get; }

        public void Dispose()
        {
            _memory.Dispose();
            _codes.Dispose();
        }
    }
}
