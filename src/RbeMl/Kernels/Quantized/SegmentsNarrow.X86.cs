using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Kernels;

/// <summary>
/// Sums of products of narrow levels (at most 64 in size) in 16 bits, 512 at a time. An instruction gives the sum of two products of an
/// unsigned level, 127 at most, and a code: 16 bits hold it. Four such sums and what the levels' offset added too much are added up modulo
/// 2^16, which loses nothing: eight products of signed levels fit 16 bits, as <see cref="Int8Activations"/> takes its scales for that. So
/// 256 products cost five multiplications of registers, where sums of 32 bits would cost eight.
/// </summary>
internal readonly unsafe struct SegmentsNarrow : IInt8Segments
{
    private const int Lanes = 16;
    private const int Rows = 4;

    /// <summary>Whether this machine has it.</summary>
    public static bool IsSupported => Avx512BW.IsSupported;

    public static void Multiply(int tile, int segment, byte* levels, float* scales, int scaleStride, Int8Activations x, int s, float* y, int width,
        int lanes, bool narrow)
    {
        for (int lane = 0; lane < lanes;)
        {
            // Three vectors at a time, two where one would be left.
            int vectors = (lanes - lane) / Lanes;
            vectors = vectors == 4 ? 2 : Math.Min(vectors, 3);
            sbyte* codes = x.Codes(s) + (4 * lane);
            float* tokens = x.Scales(s) + lane, to = y + lane;
            int* pairs = x.PairSums(s) + lane;
            if (vectors == 3) Columns<Three>(tile, segment, levels, scales, scaleStride, codes, tokens, pairs, to, width);
            else if (vectors == 2) Columns<Two>(tile, segment, levels, scales, scaleStride, codes, tokens, pairs, to, width);
            else Columns<One>(tile, segment, levels, scales, scaleStride, codes, tokens, pairs, to, width);
            lane += vectors * Lanes;
        }
    }

    // x is [segment / 4][width][4], pairs [segment / 16][width] of two sums each.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Columns<TColumns>(int tile, int segment, byte* levels, float* scales, int scaleStride, sbyte* x, float* tokens, int* pairs,
        float* y, long width)
        where TColumns : struct
    {
        Vector512<short> ones = Vector512.Create((short)1);
        byte* lastLevels = levels + (tile * tile);
        for (; levels < lastLevels; levels += Rows * tile, scales += Rows * scaleStride, y += Rows * width)
        {
            Vector512<int> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
            Vector512<int> c0 = default, c1 = default, c2 = default, c3 = default;
            byte* w0 = levels, w2 = levels + (2 * tile);
            sbyte* xs = x;
            int* from = pairs;
            for (byte* end = w0 + segment; w0 < end; from += width)
            {
                // Sums of 16 bits start from what the offset of the levels will have added too much.
                Vector512<short> p0 = Vector512.Load(from).AsInt16(), p1 = p0, p2 = p0, p3 = p0;
                Vector512<short> q0 = HasTwo<TColumns>() ? Vector512.Load(from + Lanes).AsInt16() : p0, q1 = q0, q2 = q0, q3 = q0;
                Vector512<short> r0 = HasThree<TColumns>() ? Vector512.Load(from + (2 * Lanes)).AsInt16() : p0, r1 = r0, r2 = r0, r3 = r0;
                for (byte* last = w0 + 16; w0 < last; w0 += 4, w2 += 4, xs += 4 * width)
                {
                    Vector512<sbyte> xa = Vector512.Load(xs), xb = HasTwo<TColumns>() ? Vector512.Load(xs + 64) : xa,
                        xc = HasThree<TColumns>() ? Vector512.Load(xs + 128) : xa;
                    Vector512<byte> v = Four(w0);
                    p0 += Avx512BW.MultiplyAddAdjacent(v, xa);
                    if (HasTwo<TColumns>()) q0 += Avx512BW.MultiplyAddAdjacent(v, xb);
                    if (HasThree<TColumns>()) r0 += Avx512BW.MultiplyAddAdjacent(v, xc);
                    v = Four(w0 + tile);
                    p1 += Avx512BW.MultiplyAddAdjacent(v, xa);
                    if (HasTwo<TColumns>()) q1 += Avx512BW.MultiplyAddAdjacent(v, xb);
                    if (HasThree<TColumns>()) r1 += Avx512BW.MultiplyAddAdjacent(v, xc);
                    v = Four(w2);
                    p2 += Avx512BW.MultiplyAddAdjacent(v, xa);
                    if (HasTwo<TColumns>()) q2 += Avx512BW.MultiplyAddAdjacent(v, xb);
                    if (HasThree<TColumns>()) r2 += Avx512BW.MultiplyAddAdjacent(v, xc);
                    v = Four(w2 + tile);
                    p3 += Avx512BW.MultiplyAddAdjacent(v, xa);
                    if (HasTwo<TColumns>()) q3 += Avx512BW.MultiplyAddAdjacent(v, xb);
                    if (HasThree<TColumns>()) r3 += Avx512BW.MultiplyAddAdjacent(v, xc);
                }

                (a0, a1, a2, a3) = (a0 + Widen(p0, ones), a1 + Widen(p1, ones), a2 + Widen(p2, ones), a3 + Widen(p3, ones));
                if (HasTwo<TColumns>()) (b0, b1, b2, b3) = (b0 + Widen(q0, ones), b1 + Widen(q1, ones), b2 + Widen(q2, ones), b3 + Widen(q3, ones));
                if (HasThree<TColumns>()) (c0, c1, c2, c3) = (c0 + Widen(r0, ones), c1 + Widen(r1, ones), c2 + Widen(r2, ones), c3 + Widen(r3, ones));
            }

            Add(a0, a1, a2, a3, scales, scaleStride, tokens, y, width);
            if (HasTwo<TColumns>()) Add(b0, b1, b2, b3, scales, scaleStride, tokens + Lanes, y + Lanes, width);
            if (HasThree<TColumns>()) Add(c0, c1, c2, c3, scales, scaleStride, tokens + (2 * Lanes), y + (2 * Lanes), width);
        }
    }

    // y += scale of the weights * (scale of the token * sum), for sixteen tokens and four rows.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector512<int> a0, Vector512<int> a1, Vector512<int> a2, Vector512<int> a3, float* scales, int scaleStride, float* tokens,
        float* y, long width)
    {
        Vector512<float> t = Vector512.Load(tokens);
        Add(a0, t, scales[0], y);
        Add(a1, t, scales[scaleStride], y + width);
        Add(a2, t, scales[2 * scaleStride], y + (2 * width));
        Add(a3, t, scales[3 * scaleStride], y + (3 * width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector512<int> a, Vector512<float> t, float scale, float* y) =>
        Vector512.FusedMultiplyAdd(Vector512.Create(scale), Vector512.ConvertToSingle(a) * t, Vector512.Load(y)).Store(y);

    // Four levels in every lane, from memory: as a float, whose broadcast from there is one instruction.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Four(byte* levels) => Vector512.Create(*(float*)levels).AsByte();

    // Sums of two neighbours in 32 bits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Widen(Vector512<short> sums, Vector512<short> ones) => Avx512BW.MultiplyAddAdjacent(sums, ones);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool HasTwo<TColumns>()
        where TColumns : struct => typeof(TColumns) != typeof(One);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool HasThree<TColumns>()
        where TColumns : struct => typeof(TColumns) == typeof(Three);

    // Vectors that are worked on together, as types, so that each gets code of its own.
    private readonly struct One;

    private readonly struct Two;

    private readonly struct Three;
}
