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
            byte* w0 = levels, w1 = w0 + tile, w2 = w1 + tile, w3 = w2 + tile;
            sbyte* xs = x;
            int* from = pairs;
            for (byte* end = w0 + segment; w0 < end; w0 += 16, w1 += 16, w2 += 16, w3 += 16, xs += 16 * width, from += width)
            {
                sbyte* x1 = xs + (4 * width), x2 = x1 + (4 * width), x3 = x2 + (4 * width);
                Vector512<short> pa = Vector512.Load(from).AsInt16(), pb = HasTwo<TColumns>() ? Vector512.Load(from + Lanes).AsInt16() : pa,
                    pc = HasThree<TColumns>() ? Vector512.Load(from + (2 * Lanes)).AsInt16() : pa;
                Vector512<sbyte> xa = Vector512.Load(xs), ya = Vector512.Load(x1), za = Vector512.Load(x2), ta = Vector512.Load(x3);
                Vector512<sbyte> xb = xa, yb = xa, zb = xa, tb = xa, xc = xa, yc = xa, zc = xa, tc = xa;
                if (HasTwo<TColumns>())
                {
                    (xb, yb, zb, tb) = (Vector512.Load(xs + 64), Vector512.Load(x1 + 64), Vector512.Load(x2 + 64), Vector512.Load(x3 + 64));
                }

                if (HasThree<TColumns>())
                {
                    (xc, yc, zc, tc) = (Vector512.Load(xs + 128), Vector512.Load(x1 + 128), Vector512.Load(x2 + 128), Vector512.Load(x3 + 128));
                }

                Vector512<byte> v0 = Four(w0), m0 = Four(w0 + 4), n0 = Four(w0 + 8), o0 = Four(w0 + 12);
                a0 = Sum(a0, v0, xa, m0, ya, n0, za, o0, ta, pa, ones);
                if (HasTwo<TColumns>()) b0 = Sum(b0, v0, xb, m0, yb, n0, zb, o0, tb, pb, ones);
                if (HasThree<TColumns>()) c0 = Sum(c0, v0, xc, m0, yc, n0, zc, o0, tc, pc, ones);
                Vector512<byte> v1 = Four(w1), m1 = Four(w1 + 4), n1 = Four(w1 + 8), o1 = Four(w1 + 12);
                a1 = Sum(a1, v1, xa, m1, ya, n1, za, o1, ta, pa, ones);
                if (HasTwo<TColumns>()) b1 = Sum(b1, v1, xb, m1, yb, n1, zb, o1, tb, pb, ones);
                if (HasThree<TColumns>()) c1 = Sum(c1, v1, xc, m1, yc, n1, zc, o1, tc, pc, ones);
                Vector512<byte> v2 = Four(w2), m2 = Four(w2 + 4), n2 = Four(w2 + 8), o2 = Four(w2 + 12);
                a2 = Sum(a2, v2, xa, m2, ya, n2, za, o2, ta, pa, ones);
                if (HasTwo<TColumns>()) b2 = Sum(b2, v2, xb, m2, yb, n2, zb, o2, tb, pb, ones);
                if (HasThree<TColumns>()) c2 = Sum(c2, v2, xc, m2, yc, n2, zc, o2, tc, pc, ones);
                Vector512<byte> v3 = Four(w3), m3 = Four(w3 + 4), n3 = Four(w3 + 8), o3 = Four(w3 + 12);
                a3 = Sum(a3, v3, xa, m3, ya, n3, za, o3, ta, pa, ones);
                if (HasTwo<TColumns>()) b3 = Sum(b3, v3, xb, m3, yb, n3, zb, o3, tb, pb, ones);
                if (HasThree<TColumns>()) c3 = Sum(c3, v3, xc, m3, yc, n3, zc, o3, tc, pc, ones);
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

    // a + products of v and x, m and y, n and z, o and t, with what they have too much.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Sum(Vector512<int> a, Vector512<byte> v, Vector512<sbyte> x, Vector512<byte> m, Vector512<sbyte> y, Vector512<byte> n,
        Vector512<sbyte> z, Vector512<byte> o, Vector512<sbyte> t, Vector512<short> pairs, Vector512<short> ones)
    {
        Vector512<short> first = Avx512BW.MultiplyAddAdjacent(v, x) + Avx512BW.MultiplyAddAdjacent(m, y);
        Vector512<short> second = Avx512BW.MultiplyAddAdjacent(n, z) + Avx512BW.MultiplyAddAdjacent(o, t);
        return a + Avx512BW.MultiplyAddAdjacent(first + (second + pairs), ones);
    }

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
