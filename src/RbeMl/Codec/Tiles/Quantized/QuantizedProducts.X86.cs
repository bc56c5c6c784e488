using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector: codes become levels in registers as when decoding, and meet x there. A row's sum stays a vector over all tiles
/// of the row, so a group costs one multiplication with its scale, and lanes are added once at the end. On 256 bits: <see cref="QuantizedPairProducts"/>.
/// </summary>
internal static unsafe class QuantizedProducts
{
    private const int PrefetchBytes = 2048;

    /// <summary>y += Q x without outliers, or false where there is no such product.</summary>
    public static bool Product(QuantizedTiles tiles, int firstTile, int count, float* x, float* y, float* scratch)
    {
        if (!Avx2.IsSupported || !Fma.IsSupported) return false;
        bool words = Avx512Vbmi.IsSupported, halved = tiles.Tile == 32 || (tiles.Tile == 64 && tiles.Bits == 4);
        int lanes = words ? (halved ? 8 : 16) : Avx512BW.IsSupported ? 16 : tiles.Tile == 32 ? 4 : 8;
        new Span<float>(scratch, tiles.Tile * lanes).Clear();
        if (words) tiles.ProductWords(firstTile, count, x, scratch);
        else if (Avx512BW.IsSupported) tiles.ProductAvx512(firstTile, count, x, scratch);
        else tiles.ProductPairs(firstTile, count, x, scratch);
        VectorKernel.AddSums(scratch, lanes, tiles.Tile, y);
        return true;
    }

    /// <summary>sums <c>[B][16]</c> += products. Needs AVX-512BW.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ProductAvx512(this QuantizedTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int bits = tiles.Bits, tile = tiles.Tile, area = tile * tile, groups = area / QuantizedTiles.GroupSize;
        Vector512<byte> shuffle = Vector512.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits]);
        Vector512<uint> shifts = Vector512.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits]).AsUInt32();
        bool uniform = QuantizerLevels.IsUniform(bits);
        float[] table = CodeVectors.Tables[uniform ? 0 : bits - QuantizedTiles.LeastBits];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<int> middle = Vector512.Create(1 << bits - 1), mask = Vector512.Create((1 << bits) - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[CodeVectors.TailBytes];
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* source = codes + (long)firstTile * area * bits / 8, last = codes + tiles.Codes.Length - CodeVectors.GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetReference(tiles.Scales.AsSpan()), firstTile * groups);
            for (int j = 0; j < count; j++, x += tile)
            {
                float* sum = sums;
                for (int g = 0, column = 0; g < groups; g++, source += 8 * bits, scales = ref Unsafe.Add(ref scales, 1))
                {
                    Sse.Prefetch0(source + PrefetchBytes);
                    Vector512<float> scale = Vector512.Create(QuantizedTiles.ToSingle(scales) * step);
                    byte* from = source <= last ? source : CodeVectors.CopyTail(source, 8 * bits, tail);
                    Vector512<int> c0 = CodeVectors.Codes16(from, shuffle, shifts), c1 = CodeVectors.Codes16(from + 2 * bits, shuffle, shifts);
                    Vector512<int> c2 = CodeVectors.Codes16(from + 4 * bits, shuffle, shifts),
                        c3 = CodeVectors.Codes16(from + 6 * bits, shuffle, shifts);
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
                    column += QuantizedTiles.GroupSize;
                    if (column < tile) continue;
                    column = 0;
                    sum += 16;
                }
            }
        }
    }
}
