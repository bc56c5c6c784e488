using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector on 256 bits, where permutations of floats take longer than all else: x and levels are integers of 16 bits
/// (<see cref="PairVector"/>, <see cref="PairLevels"/>), levels are looked up as bytes, and one instruction multiplies sixteen and adds pairs. A group's sum is
/// exact; it becomes a float where it meets the scale. The low halves of vectors hold the first 32 codes of a group, the high halves the others, so that
/// with tiles of 32 each half is a row.
/// </summary>
internal static unsafe class QuantizedPairProducts
{
    private const int PrefetchAhead = 2048;

    /// <summary>
    /// sums <c>[B][8]</c>, or <c>[32][4]</c>, += products. All B² elements from sums on are overwritten beyond the sums: x as integers, scales, and a copy of
    /// the last tile, as reading it in vectors may pass the end of the codes. Needs AVX2 and FMA.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ProductPairs(this QuantizedTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int tile = tiles.Tile, bits = tiles.Bits, groups = tile * tile / QuantizedTiles.GroupSize, tileBytes = groups * 8 * bits;
        int segment = Math.Min(tile, QuantizedTiles.GroupSize), segments = tile / segment;
        PairVector* pairs = (PairVector*)(sums + (tile * (tile == 32 ? 4 : 8)));
        float* scales = (float*)(pairs + segments);
        byte* tail = (byte*)(scales + groups);
        float step = PairLevels.StepOf(bits);
        fixed (byte* codes = tiles.Codes.Span, table = PairLevels.Tables(bits), windows = PairLevels.Windows(bits))
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

                float first = step * pairs[0].Set(x, segment, bits), second = segments == 1 ? first : step * pairs[1].Set(x + segment, segment, bits);
                ToSingles((ushort*)(halves + ((long)t * groups)), groups, first, second, scales);
                for (int s = 0; s < segments; s++)
                {
                    Rows(bits, source + (s * 8 * bits), segments, groups / segments, pairs + s, scales + s, sums, table, windows);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows(int bits, byte* source, nint stride, int count, PairVector* x, float* scales, float* sums, byte* table, byte* windows)
    {
        switch (bits)
        {
            case 2: Rows<Bits2>(source, stride, count, x, scales, sums, table, windows); break;
            case 3: Rows<Bits3>(source, stride, count, x, scales, sums, table, windows); break;
            case 4: Rows<Bits4>(source, stride, count, x, scales, sums, table, windows); break;
            case 5: Rows<Bits5>(source, stride, count, x, scales, sums, table, windows); break;
            case 6: Rows<Bits6>(source, stride, count, x, scales, sums, table, windows); break;
            case 7: Rows<Bits7>(source, stride, count, x, scales, sums, table, windows); break;
            default: Rows<Bits8>(source, stride, count, x, scales, sums, table, windows); break;
        }
    }

    // count groups, of which each is so many after the last. Without a call in it, so that its constants stay in registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Rows<TWidth>(byte* source, nint stride, int count, PairVector* x, float* scales, float* sums, byte* table, byte* windows)
        where TWidth : struct, ICodeWidth
    {
        Vector256<short> x0 = x->Part(0), x1 = x->Part(1), x2 = x->Part(2), x3 = x->Part(3);
        Vector256<int> start = x->Start;
        Vector256<byte> t0 = Vector256.Load(table), t1 = Vector256.Load(table + 32), t2 = Vector256.Load(table + 64), t3 = Vector256.Load(table + 96);
        Vector256<byte> window = Vector256.Load(windows), later = Vector256.Load(windows + 64);
        Vector256<short> raise = Vector256.Load(windows + 32).AsInt16(), raiseLater = Vector256.Load(windows + 96).AsInt16();
        nint bytesOn = stride * 8 * TWidth.Bits;
        for (float* end = scales + (count * stride); scales < end; scales += stride, source += bytesOn, sums += 8)
        {
            Sse.Prefetch0(source + PrefetchAhead);
            Vector256<int> dot;
            if (TWidth.Bits == 2)
            {
                Vector128<byte> four = Vector128.Load(source), low = Vector128.Create((byte)15), a = four & low, b = (four.AsUInt16() >> 4).AsByte() & low;
                Vector256<byte> twos = Sse2.UnpackLow(a, b).ToVector256Unsafe().WithUpper(Sse2.UnpackHigh(a, b));
                dot = Two(Avx2.Shuffle(t0, twos), Avx2.Shuffle(t1, twos), x0, x2) + Two(Avx2.Shuffle(t2, twos), Avx2.Shuffle(t3, twos), x1, x3);
            }
            else if (TWidth.Bits == 4)
            {
                Vector256<byte> both = Vector256.Load(source), low = Vector256.Create((byte)15), a = both & low, b = (both.AsUInt16() >> 4).AsByte() & low;
                dot = Two(Avx2.Shuffle(t0, a), Avx2.Shuffle(t1, a), x0, x2) + Two(Avx2.Shuffle(t0, b), Avx2.Shuffle(t1, b), x1, x3);
            }
            else if (TWidth.Bits is 3 or 5)
            {
                Vector256<byte> a = Bytes<TWidth>(source, window, raise), b = Bytes<TWidth>(source + (2 * TWidth.Bits), window, raise);
                if (TWidth.Bits == 3)
                {
                    dot = Two(Avx2.Shuffle(t0, a), Avx2.Shuffle(t1, a), x0, x1) + Two(Avx2.Shuffle(t0, b), Avx2.Shuffle(t1, b), x2, x3);
                }
                else
                {
                    // A shuffle gives 0 where bit 7 is set: of the first for codes from 16 on, of the second for those below.
                    Vector256<byte> up = Vector256.Create((byte)0x70), down = Vector256.Create((byte)0xF0), c = a + down, d = b + down;
                    a += up;
                    b += up;
                    dot = Two(Avx2.Shuffle(t0, a) | Avx2.Shuffle(t2, c), Avx2.Shuffle(t1, a) | Avx2.Shuffle(t3, c), x0, x1)
                        + Two(Avx2.Shuffle(t0, b) | Avx2.Shuffle(t2, d), Avx2.Shuffle(t1, b) | Avx2.Shuffle(t3, d), x2, x3);
                }
            }
            else if (TWidth.Bits == 6)
            {
                Vector256<ushort> a = Words<TWidth>(source, source + 24, window, raise), b = Words<TWidth>(source + 12, source + 36, window, raise);
                dot = start + Both((a >> 4) & Vector256.Create((ushort)63), x0) + Both(a >> 10, x1)
                    + (Both((b >> 4) & Vector256.Create((ushort)63), x2) + Both(b >> 10, x3));
            }
            else if (TWidth.Bits == 7)
            {
                dot = start + Both(Words<TWidth>(source, source + 28, window, raise) >> 9, x0)
                    + Both(Words<TWidth>(source, source + 28, later, raiseLater) >> 9, x1)
                    + (Both(Words<TWidth>(source + 14, source + 42, window, raise) >> 9, x2)
                    + Both(Words<TWidth>(source + 14, source + 42, later, raiseLater) >> 9, x3));
            }
            else
            {
                Vector256<ushort> a = Halves(source, source + 32).AsUInt16(), b = Halves(source + 16, source + 48).AsUInt16();
                Vector256<ushort> low = Vector256.Create((ushort)255);
                dot = start + Both(a & low, x0) + Both(a >> 8, x1) + (Both(b & low, x2) + Both(b >> 8, x3));
            }

            Fma.MultiplyAdd(Vector256.Create(*scales), Avx.ConvertToVector256Single(dot), Vector256.Load(sums)).Store(sums);
        }
    }

    // Low and high bytes of levels put together, those in the low places of each half first.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Two(Vector256<byte> low, Vector256<byte> high, Vector256<short> x0, Vector256<short> x1) =>
        Avx2.MultiplyAddAdjacent(Avx2.UnpackLow(low, high).AsInt16(), x0) + Avx2.MultiplyAddAdjacent(Avx2.UnpackHigh(low, high).AsInt16(), x1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Both(Vector256<ushort> codes, Vector256<short> x) => Avx2.MultiplyAddAdjacent(codes.AsInt16(), x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Halves(byte* low, byte* high) => Vector128.Load(low).ToVector256Unsafe().WithUpper(Vector128.Load(high));

    // Windows of 16 bits, each moved up so far that what it was opened for is at its top.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ushort> Words<TWidth>(byte* low, byte* high, Vector256<byte> window, Vector256<short> raise)
        where TWidth : struct, ICodeWidth => Avx2.MultiplyLow(Avx2.Shuffle(Halves(low, high), window).AsInt16(), raise).AsUInt16();

    // Sixteen codes of each half, a byte each.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Bytes<TWidth>(byte* source, Vector256<byte> window, Vector256<short> raise)
        where TWidth : struct, ICodeWidth
    {
        Vector256<ushort> two = Words<TWidth>(source, source + (4 * TWidth.Bits), window, raise);
        ushort low = (ushort)((1 << TWidth.Bits) - 1);
        return (((two >> (16 - (2 * TWidth.Bits))) & Vector256.Create(low)) | ((two >> (8 - TWidth.Bits)) & Vector256.Create((ushort)(low << 8)))).AsByte();
    }

    // count scales, a multiple of 16, those in even places times first, the others times second.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ToSingles(ushort* scales, int count, float first, float second, float* to)
    {
        Vector256<float> factor = Vector256.Create(first, second, first, second, first, second, first, second);
        Vector256<float> bias = Vector256.Create(5.192296858534828e33f);
        for (int g = 0; g < count; g += 8) ((Avx2.ConvertToVector256Int32(scales + g) << 13).AsSingle() * bias * factor).Store(to + g);
    }
}
