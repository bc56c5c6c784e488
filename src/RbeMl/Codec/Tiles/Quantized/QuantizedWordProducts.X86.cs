using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector where bytes can be permuted across 512 bits. A group of 64 codes becomes sixteen words, word w with codes 4 w ..
/// 4 w + 3, so that one permutation serves four vectors of levels; x lies in four vectors of every fourth element. The loop over the rows
/// of a tile is a method of its own: then all that it needs stays in registers.
/// </summary>
internal static unsafe class QuantizedWordProducts
{
    private const int CodesPerWord = 4;
    private const int PrefetchAhead = 4096;
    private static readonly byte[][] s_wordBytes = QuantizerLevels.ByBits(MakeWordBytes);

    /// <summary>
    /// sums <c>[B][16]</c>, or <c>[32][8]</c>, += products. All B² elements from sums on are overwritten beyond the sums: scales as floats,
    /// and a copy of the last tile if reading it in vectors would pass the end of the codes. Needs AVX-512 VBMI.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ProductWords(this QuantizedTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int tile = tiles.Tile, groups = tile * tile / QuantizedTiles.GroupSize, tileBytes = groups * 8 * tiles.Bits;
        float step = QuantizerLevels.IsUniform(tiles.Bits) ? QuantizerLevels.Step(tiles.Bits) : 1;
        float* scales = sums + (tile * 16);
        byte* tail = (byte*)(scales + groups);
        fixed (byte* codes = tiles.Codes.Span)
        fixed (Half* halves = tiles.Scales.AsSpan())
        {
            for (int t = firstTile; t < firstTile + count; t++, x += tile)
            {
                byte* source = codes + ((long)t * tileBytes);
                if (t == tiles.TileCount - 1)
                {
                    new Span<byte>(source, tileBytes).CopyTo(new Span<byte>(tail, tileBytes));
                    source = tail;
                }

                ToSingles((ushort*)(halves + ((long)t * groups)), groups, step, scales);
                switch (tiles.Bits)
                {
                    case 2: Rows<Bits2>(source, tile, x, scales, sums); break;
                    case 3: Rows<Bits3>(source, tile, x, scales, sums); break;
                    case 4 when tile == 64: NibbleRows(source, x, scales, sums); break;
                    case 4: Rows<Bits4>(source, tile, x, scales, sums); break;
                    case 5: Rows<Bits5>(source, tile, x, scales, sums); break;
                    case 6: Rows<Bits6>(source, tile, x, scales, sums); break;
                    case 7: Rows<Bits7>(source, tile, x, scales, sums); break;
                    default: Rows<Bits8>(source, tile, x, scales, sums); break;
                }
            }
        }
    }

    // A tile, or every second group of one of 128 and then the others, which meet the other half of x.
    private static void Rows<TWidth>(byte* source, int tile, float* x, float* scales, float* sums)
        where TWidth : struct, ICodeWidth
    {
        if (tile != 128)
        {
            Rows<TWidth>(source, 1, tile * tile / QuantizedTiles.GroupSize, x, tile == 32 ? 0 : 32, scales, sums);
            return;
        }

        Rows<TWidth>(source, 2, tile, x, 32, scales, sums);
        Rows<TWidth>(source + (8 * TWidth.Bits), 2, tile, x + 64, 32, scales + 1, sums);
    }

    // count groups, of which each is so many after the last; the second 32 of their columns meet x from upper on.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Rows<TWidth>(byte* source, nint stride, int count, float* x, int upper, float* scales, float* sums)
        where TWidth : struct, ICodeWidth
    {
        Vector512<byte> bytes = Vector512.Create(s_wordBytes[TWidth.Bits - QuantizedTiles.LeastBits]);
        Vector512<uint> shift0 = (Vector512<uint>.Indices & Vector512<uint>.One) * (4u * (uint)TWidth.Bits % 8); // of odd widths odd words start within a byte
        Vector512<uint> shift1 = shift0 + Vector512.Create((uint)TWidth.Bits), shift2 = shift1 + Vector512.Create((uint)TWidth.Bits),
            shift3 = shift2 + Vector512.Create((uint)TWidth.Bits);
        float[] table = CodeVectors.Tables[QuantizerLevels.IsUniform(TWidth.Bits) ? 0 : TWidth.Bits - QuantizedTiles.LeastBits];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<float> x0 = Fourths(x, upper, 0), x1 = Fourths(x, upper, 1), x2 = Fourths(x, upper, 2), x3 = Fourths(x, upper, 3);
        nint bytesOn = stride * 8 * TWidth.Bits;
        for (float* end = scales + (count * stride); scales < end; scales += stride, source += bytesOn, sums += 16)
        {
            Sse.Prefetch0(source + PrefetchAhead);
            Vector512<uint> words = Avx512Vbmi.PermuteVar64x8(Vector512.Load(source), bytes).AsUInt32();
            Vector512<float> dot = Level<TWidth>(TWidth.Bits % 2 == 0 ? words : Down(words, shift0), low, high) * x0;
            dot = Vector512.FusedMultiplyAdd(Level<TWidth>(Down(words, shift1), low, high), x1, dot);
            dot = Vector512.FusedMultiplyAdd(Level<TWidth>(Down(words, shift2), low, high), x2, dot);
            dot = Vector512.FusedMultiplyAdd(Level<TWidth>(Down(words, shift3), low, high), x3, dot);
            Vector512.FusedMultiplyAdd(Vector512.Create(*scales), dot, Vector512.Load(sums)).Store(sums);
        }
    }

    // A tile of 64 of 4 bits, sums [64][8]: two rows are a vector of sixteen words; nibble n of word w meets column 8 w + n, so a shift is
    // all that a vector of levels takes.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void NibbleRows(byte* source, float* x, float* scales, float* sums)
    {
        Vector512<float> table = Vector512.Create(CodeVectors.Tables[4 - QuantizedTiles.LeastBits]),
            second = Vector512.Create(Vector256<uint>.Zero, Vector256<uint>.AllBitsSet).AsSingle();
        Vector512<float> x0 = Eighths(x, 0), x1 = Eighths(x, 1), x2 = Eighths(x, 2), x3 = Eighths(x, 3), x4 = Eighths(x, 4), x5 = Eighths(x, 5),
            x6 = Eighths(x, 6), x7 = Eighths(x, 7);
        for (float* end = scales + 64; scales < end; scales += 2, source += 64, sums += 16)
        {
            Sse.Prefetch0(source + PrefetchAhead);
            Vector512<uint> words = Vector512.Load((uint*)source);
            Vector512<float> dot = Level<Bits4>(words, table, table) * x0;
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 4, table, table), x1, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 8, table, table), x2, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 12, table, table), x3, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 16, table, table), x4, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 20, table, table), x5, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 24, table, table), x6, dot);
            dot = Vector512.FusedMultiplyAdd(Level<Bits4>(words >> 28, table, table), x7, dot);
            Vector512<float> scale = Vector512.ConditionalSelect(second, Vector512.Create(scales[1]), Vector512.Create(scales[0]));
            Vector512.FusedMultiplyAdd(scale, dot, Vector512.Load(sums)).Store(sums);
        }
    }

    // The code in the low bits of each word as a level, or 6 .. 8 bits as code - 2^(bits - 1): 2^23 + code is exact, and so is its
    // difference to 2^23 + 2^(bits - 1).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Level<TWidth>(Vector512<uint> words, Vector512<float> low, Vector512<float> high)
        where TWidth : struct, ICodeWidth
    {
        const uint Exponent = 0x4B000000; // of 2^23
        if (TWidth.Bits < 5) return Avx512F.PermuteVar16x32(low, words.AsInt32());
        if (TWidth.Bits == 5) return Avx512F.PermuteVar16x32x2(low, words.AsInt32(), high);
        return ((words & Vector512.Create((1u << TWidth.Bits) - 1)) | Vector512.Create(Exponent)).AsSingle()
            - Vector512.Create(8388608f + (1 << (TWidth.Bits - 1)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Down(Vector512<uint> words, Vector512<uint> shifts) => Avx512F.ShiftRightLogicalVariable(words, shifts);

    // ToSingle of count scales, a multiple of 16, each times the step.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ToSingles(ushort* scales, int count, float step, float* to)
    {
        Vector512<float> bias = Vector512.Create(5.192296858534828e33f), steps = Vector512.Create(step);
        for (int g = 0; g < count; g += 16) ((Avx512F.ConvertToVector512UInt32(Vector256.Load(scales + g)) << 13).AsSingle() * bias * steps).Store(to + g);
    }

    // Elements n, 4 + n, .. 28 + n of x, then those of x + upper.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fourths(float* x, int upper, int n)
    {
        Vector512<int> places = ((Vector512<int>.Indices & Vector512.Create(7)) * CodesPerWord) + Vector512.Create(n);
        Vector512<float> first = Avx512F.PermuteVar16x32x2(Vector512.Load(x), places, Vector512.Load(x + 16));
        Vector512<float> second = Avx512F.PermuteVar16x32x2(Vector512.Load(x + upper), places, Vector512.Load(x + upper + 16));
        return Vector512.Create(first.GetLower(), second.GetLower());
    }

    // Elements n, 8 + n, .. 56 + n of x, twice.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Eighths(float* x, int n)
    {
        Vector512<int> places = ((Vector512<int>.Indices & Vector512.Create(3)) * 8) + Vector512.Create(n);
        Vector512<float> low = Avx512F.PermuteVar16x32x2(Vector512.Load(x), places, Vector512.Load(x + 16)),
            high = Avx512F.PermuteVar16x32x2(Vector512.Load(x + 32), places, Vector512.Load(x + 48));
        Vector256<float> lanes = Vector256.Create(low.GetLower().GetLower(), high.GetLower().GetLower());
        return Vector512.Create(lanes, lanes);
    }

    // Of each of 16 words: the byte that its four codes start in and the three after it, none of which is needed beyond the group.
    private static byte[] MakeWordBytes(int bits) => [.. Enumerable.Range(0, 64).Select(b => (byte)((b / 4 * CodesPerWord * bits / 8) + (b % 4)))];
}
