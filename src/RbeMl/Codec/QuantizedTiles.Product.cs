using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Kernels;

namespace RbeMl.Codec;

/// <content>
/// Products with a vector: codes become levels in registers as when decoding, and meet x there. A row's sum stays a vector over all tiles of the row, so a group
/// costs one multiplication with its scale, and lanes are added once at the end.
/// </content>
public sealed unsafe partial class QuantizedTiles
{
    private const int PrefetchBytes = 2048;

    private protected override bool Product(int firstTile, int count, float* x, float* y, float* scratch)
    {
        bool nibbles = Avx512BW.IsSupported && Bits == 4 && Tile == 64;
        int lanes = Avx512BW.IsSupported && !nibbles ? 16 : 8;
        if (!Avx2.IsSupported || !Fma.IsSupported) return false;
        new Span<float>(scratch, Tile * lanes).Clear();
        if (nibbles) ProductNibbles(firstTile, count, x, scratch);
        else if (Avx512BW.IsSupported) ProductAvx512(firstTile, count, x, scratch);
        else ProductAvx2(firstTile, count, x, scratch);
        VectorKernel.AddSums(scratch, lanes, Tile, y);
        return true;
    }

    /// <summary>sums <c>[B][16]</c> += products. Needs AVX-512BW.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void ProductAvx512(int firstTile, int count, float* x, float* sums)
    {
        int bits = Bits, tile = Tile, area = tile * tile, groups = area / QuantizedFormat.GroupSize;
        Vector512<byte> shuffle = Vector512.Create(s_shuffles[bits - 3]);
        Vector512<uint> shifts = Vector512.Create(s_shifts[bits - 3]).AsUInt32();
        bool uniform = QuantizerLevels.IsUniform(bits);
        float[] table = s_tables[uniform ? 0 : bits - 3];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<int> middle = Vector512.Create(1 << bits - 1), mask = Vector512.Create((1 << bits) - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[TailBytes];
        fixed (byte* codes = Codes.Span)
        {
            byte* source = codes + (long)firstTile * area * bits / 8, last = codes + Codes.Length - GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Scales), firstTile * groups);
            for (int j = 0; j < count; j++, x += tile)
            {
                float* sum = sums;
                for (int g = 0, column = 0; g < groups; g++, source += 8 * bits, scales = ref Unsafe.Add(ref scales, 1))
                {
                    Sse.Prefetch0(source + PrefetchBytes);
                    Vector512<float> scale = Vector512.Create(ToSingle(scales) * step);
                    byte* from = source <= last ? source : CopyTail(source, 8 * bits, tail);
                    Vector512<int> c0 = Codes16(from, shuffle, shifts), c1 = Codes16(from + 2 * bits, shuffle, shifts);
                    Vector512<int> c2 = Codes16(from + 4 * bits, shuffle, shifts), c3 = Codes16(from + 6 * bits, shuffle, shifts);
                    Vector512<float> l0, l1, l2, l3;
                    if (uniform)
                    {
                        (l0, l1) = (Avx512F.ConvertToVector512Single((c0 & mask) - middle), Avx512F.ConvertToVector512Single((c1 & mask) - middle));
                        (l2, l3) = (Avx512F.ConvertToVector512Single((c2 & mask) - middle), Avx512F.ConvertToVector512Single((c3 & mask) - middle));
                    }
                    else
                    {
                        (l0, l1) = (Avx512F.PermuteVar16x32x2(low, c0, high), Avx512F.PermuteVar16x32x2(low, c1, high));
                        (l2, l3) = (Avx512F.PermuteVar16x32x2(low, c2, high), Avx512F.PermuteVar16x32x2(low, c3, high));
                    }

                    if (tile == 32)
                    {
                        Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + 16);
                        Vector512.FusedMultiplyAdd(scale, Vector512.FusedMultiplyAdd(l1, x1, l0 * x0), Vector512.Load(sum)).Store(sum);
                        Vector512.FusedMultiplyAdd(scale, Vector512.FusedMultiplyAdd(l3, x1, l2 * x0), Vector512.Load(sum + 16)).Store(sum + 16);
                        sum += 32;
                        continue;
                    }

                    float* xs = x + column;
                    Vector512<float> even = Vector512.FusedMultiplyAdd(l2, Vector512.Load(xs + 32), l0 * Vector512.Load(xs));
                    Vector512<float> odd = Vector512.FusedMultiplyAdd(l3, Vector512.Load(xs + 48), l1 * Vector512.Load(xs + 16));
                    Vector512.FusedMultiplyAdd(scale, even + odd, Vector512.Load(sum)).Store(sum);
                    column += QuantizedFormat.GroupSize;
                    if (column < tile) continue;
                    column = 0;
                    sum += 16;
                }
            }
        }
    }

    /// <summary>
    /// sums <c>[64][8]</c> += products of 4-bit tiles of 64. Two rows are a vector of sixteen words; nibble n of word w meets column 8 w + n, so a shift brings sixteen codes
    /// to the low end of their lanes where a general place takes a shuffle too. Needs AVX-512F.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void ProductNibbles(int firstTile, int count, float* x, float* sums)
    {
        const int TileBytes = 64 * 64 / 2;
        Vector512<float> table = Vector512.Create(s_tables[1]);
        Vector512<uint> toHigh = Vector512.Create(Vector256.Create(16u), Vector256<uint>.Zero), mask = Vector512.Create(0xFFFF0000u);
        Vector512<float> bias = Vector512.Create(5.192296858534828e33f); // as in ToSingle
        fixed (byte* codes = Codes.Span)
        fixed (Half* halves = Scales)
        {
            byte* source = codes + ((long)firstTile * TileBytes);
            uint* scales = (uint*)(halves + ((long)firstTile * 64));
            for (int j = 0; j < count; j++, x += 64)
            {
                Vector512<float> x0 = Column(x, 0), x1 = Column(x, 1), x2 = Column(x, 2), x3 = Column(x, 3), x4 = Column(x, 4), x5 = Column(x, 5), x6 = Column(x, 6), x7 = Column(x, 7);
                float* sum = sums;
                for (int pair = 0; pair < 32; pair++, source += 64, scales++, sum += 16)
                {
                    Sse.Prefetch0(source + PrefetchBytes);
                    Vector512<uint> words = Vector512.Load((uint*)source);
                    Vector512<float> even = Level(table, words) * x0, odd = Level(table, words >> 4) * x1;
                    (even, odd) = (Vector512.FusedMultiplyAdd(Level(table, words >> 8), x2, even), Vector512.FusedMultiplyAdd(Level(table, words >> 12), x3, odd));
                    (even, odd) = (Vector512.FusedMultiplyAdd(Level(table, words >> 16), x4, even), Vector512.FusedMultiplyAdd(Level(table, words >> 20), x5, odd));
                    (even, odd) = (Vector512.FusedMultiplyAdd(Level(table, words >> 24), x6, even), Vector512.FusedMultiplyAdd(Level(table, words >> 28), x7, odd));

                    // The scales of the two rows, each in eight lanes.
                    Vector512<uint> both = Avx512F.ShiftLeftLogicalVariable(Vector512.Create(*scales), toHigh) & mask;
                    Vector512.FusedMultiplyAdd((both >> 3).AsSingle() * bias, even + odd, Vector512.Load(sum)).Store(sum);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Level(Vector512<float> table, Vector512<uint> words) => Avx512F.PermuteVar16x32(table, words.AsInt32());

    // Elements n, 8 + n, .. 56 + n of x, twice.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Column(float* x, int n)
    {
        Vector512<int> places = (Vector512<int>.Indices & Vector512.Create(3)) * 8 + Vector512.Create(n);
        Vector512<float> low = Avx512F.PermuteVar16x32x2(Vector512.Load(x), places, Vector512.Load(x + 16)), high = Avx512F.PermuteVar16x32x2(Vector512.Load(x + 32), places, Vector512.Load(x + 48));
        Vector256<float> lanes = Vector256.Create(low.GetLower().GetLower(), high.GetLower().GetLower());
        return Vector512.Create(lanes, lanes);
    }

    /// <summary>sums <c>[B][8]</c> += products. Needs AVX2 and FMA.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void ProductAvx2(int firstTile, int count, float* x, float* sums)
    {
        int bits = Bits, tile = Tile, area = tile * tile, groups = area / QuantizedFormat.GroupSize;
        Vector256<byte> shuffle0 = Vector256.Create(s_shuffles[bits - 3]), shuffle1 = Vector256.Create(s_shuffles[bits - 3], 32);
        Vector256<uint> shifts0 = Vector256.Create(s_shifts[bits - 3]).AsUInt32(), shifts1 = Vector256.Create(s_shifts[bits - 3], 8).AsUInt32(), mask = Vector256.Create((1u << bits) - 1);
        bool uniform = QuantizerLevels.IsUniform(bits);
        Vector256<int> middle = Vector256.Create(1 << bits - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[TailBytes];
        fixed (byte* codes = Codes.Span)
        fixed (float* table = s_tables[uniform ? 0 : bits - 3])
        {
            byte* source = codes + (long)firstTile * area * bits / 8, last = codes + Codes.Length - GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Scales), firstTile * groups);
            for (int j = 0; j < count; j++, x += tile)
            {
                for (int g = 0, place = 0; g < groups; g++, source += 8 * bits, scales = ref Unsafe.Add(ref scales, 1))
                {
                    Vector256<float> scale = Vector256.Create(ToSingle(scales) * step);
                    byte* from = source <= last ? source : CopyTail(source, 8 * bits, tail);
                    for (int v = 0; v < 4; v++, from += 2 * bits, place += 16)
                    {
                        Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(from);
                        Vector256<int> code0 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                        Vector256<int> code1 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                        Vector256<float> level0 = uniform ? Avx.ConvertToVector256Single(code0 - middle) : Avx2.GatherVector256(table, code0, sizeof(float));
                        Vector256<float> level1 = uniform ? Avx.ConvertToVector256Single(code1 - middle) : Avx2.GatherVector256(table, code1, sizeof(float));
                        float* xs = x + (place & (tile - 1)), sum = sums + (place / tile * 8);
                        Vector256<float> both = Fma.MultiplyAdd(level1, Vector256.Load(xs + 8), level0 * Vector256.Load(xs));
                        Fma.MultiplyAdd(scale, both, Vector256.Load(sum)).Store(sum);
                    }
                }
            }
        }
    }
}
