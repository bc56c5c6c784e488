using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>
/// Products of a frozen base with <see cref="Int8Activations"/>: sums over a segment are integers, exact and so the same bits on every
/// machine; each gets its weights' and its token's scale at its end, in a fixed order. Outliers are multiplied as floats.
/// </summary>
internal static unsafe class Int8Kernel
{
    private const int Lanes = 16;
    private const int MostRows = 6, FewRows = 4;

    // Levels that are decoded at a time: while they and a chunk's results stay in the nearest cache, the results are not fetched for each tile.
    private const int LevelBytes = 24 << 10;

    /// <summary>Bytes of scratch: levels of a few tiles and their scales.</summary>
    internal static int ScratchBytes(int tile) => TilesTogether(tile) * TileBytes(tile);

    /// <summary>
    /// y (+)= sum over tile columns j in [first, last) of Q(tileRow, j) x(j) for every chunk. x and codes point at block
    /// <paramref name="first"/>, y at the tile row's block.
    /// </summary>
    internal static void Multiply(
        FrozenTiles q, int tileColumns, int tileRow, int first, int last, ChunkPointers<float> x, ChunkPointers<byte> codes,
        ChunkPointers<float> y, ChunkBatch group, byte* scratch, bool accumulate = true)
    {
        bool narrow = SegmentsNarrow.IsSupported && q.HasNarrowLevels;
        if (narrow) Multiply<SegmentsNarrow>(q, tileColumns, tileRow, first, last, x, codes, y, group, scratch, accumulate);
        else if (DotVnni.IsSupported) Multiply<Dots<DotVnni>>(q, tileColumns, tileRow, first, last, x, codes, y, group, scratch, accumulate);
        else if (DotAvx2.IsSupported) Multiply<Dots<DotAvx2>>(q, tileColumns, tileRow, first, last, x, codes, y, group, scratch, accumulate);
        else Multiply<Dots<DotPortable>>(q, tileColumns, tileRow, first, last, x, codes, y, group, scratch, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<TSegments>(
        FrozenTiles q, int tileColumns, int tileRow, int first, int last, ChunkPointers<float> x, ChunkPointers<byte> codes,
        ChunkPointers<float> y, ChunkBatch group, byte* scratch, bool accumulate = true)
        where TSegments : struct, IInt8Segments
    {
        int tile = q.Tile, together = TilesTogether(tile), bytes = TileBytes(tile);
        for (int j = first; j < last; j += together)
        {
            int count = Math.Min(together, last - j), index = (tileRow * tileColumns) + j;
            for (int t = 0; t < count; t++) q.DecodeLevels(index + t, scratch + (t * bytes), (float*)(scratch + (t * bytes) + (tile * tile)));
            for (int c = 0; c < group.Count; c++)
            {
                if (!accumulate && j == first) new Span<float>(y[c], tile * group.Lanes).Clear();
                for (int t = 0; t < count; t++)
                {
                    MultiplyTile<TSegments>(q, index + t, j + t - first, scratch + (t * bytes), x[c], codes[c], y[c], group.Lanes, group.LanesOf(c));
                }
            }
        }
    }

    private static int TileBytes(int tile) => (tile * tile) + (sizeof(float) * tile * (tile / Int8Activations.SegmentOf(tile)));

    private static int TilesTogether(int tile) => LevelBytes / (tile * tile);

    // One decoded tile with block j of a chunk.
    private static void MultiplyTile<TSegments>(FrozenTiles q, int index, int j, byte* levels, float* x, byte* codes, float* y, int width, int lanes)
        where TSegments : struct, IInt8Segments
    {
        int tile = q.Tile, segment = Int8Activations.SegmentOf(tile), segments = tile / segment;
        float* scales = (float*)(levels + (tile * tile));
        Int8Activations from = new(codes, segment, width);
        for (int s = 0; s < segments; s++)
        {
            TSegments.Multiply(tile, segment, levels + (s * segment), scales + s, segments, from, (j * segments) + s, y, width, lanes,
                q.HasNarrowLevels);
        }

        if (q.Outliers is { } outliers) AddOutliers(outliers, index, x + ((long)j * tile * width), y, width, lanes);
    }

    /// <summary>Products in 32 bits, of levels of any size.</summary>
    internal readonly struct Dots<TDot> : IInt8Segments
        where TDot : struct, IDotLanes
    {
        public static void Multiply(int tile, int segment, byte* levels, float* scales, int scaleStride, Int8Activations x, int s, float* y, int width,
            int lanes, bool narrow) => Segment<TDot>(tile, segment, levels, scales, scaleStride, x, s, y, width, lanes, narrow ? 1 : 0);
    }

    // A tile's rows are sixes but for one or two fours. The offset of narrow levels adds half as much.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Segment<TDot>(int tile, int segment, byte* levels, float* scales, int scaleStride, Int8Activations x, int s, float* y,
        int width, int lanes, int shift)
        where TDot : struct, IDotLanes
    {
        int sixes = tile - (FewRows * ((MostRows - (tile % MostRows)) % MostRows / 2));
        for (int lane = 0; lane < lanes; lane += Lanes)
        {
            sbyte* codes = x.Codes(s) + (4 * lane);
            float* tokens = x.Scales(s) + lane;
            int* offsets = x.Offsets(s) + lane;
            int row = 0;
            for (; row < sixes; row += MostRows)
            {
                Rows6<TDot>(segment, levels + (row * tile), tile, scales + (row * scaleStride), scaleStride, codes, tokens, offsets, shift,
                    y + ((long)row * width) + lane, width);
            }

            for (; row < tile; row += FewRows)
            {
                Rows4<TDot>(segment, levels + (row * tile), tile, scales + (row * scaleStride), scaleStride, codes, tokens, offsets, shift,
                    y + ((long)row * width) + lane, width);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows6<TDot>(int segment, byte* w, long stride, float* scales, int scaleStride, sbyte* x, float* tokens, int* offsets,
        int shift, float* y, long width)
        where TDot : struct, IDotLanes
    {
        Vector256<int> a0 = Vector256.Load(offsets) >> shift, b0 = Vector256.Load(offsets + 8) >> shift;
        Vector256<int> a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, b1 = b0, b2 = b0, b3 = b0, b4 = b0, b5 = b0;
        byte* w3 = w + (3 * stride);
        for (byte* end = w + segment; w < end; w += 4, w3 += 4, x += 4 * width)
        {
            Vector256<sbyte> xa = Vector256.Load(x), xb = Vector256.Load(x + 32);
            Vector256<byte> v = TDot.Four(w);
            (a0, b0) = (TDot.Dot(a0, v, xa), TDot.Dot(b0, v, xb));
            v = TDot.Four(w + stride);
            (a1, b1) = (TDot.Dot(a1, v, xa), TDot.Dot(b1, v, xb));
            v = TDot.Four(w + (2 * stride));
            (a2, b2) = (TDot.Dot(a2, v, xa), TDot.Dot(b2, v, xb));
            v = TDot.Four(w3);
            (a3, b3) = (TDot.Dot(a3, v, xa), TDot.Dot(b3, v, xb));
            v = TDot.Four(w3 + stride);
            (a4, b4) = (TDot.Dot(a4, v, xa), TDot.Dot(b4, v, xb));
            v = TDot.Four(w3 + (2 * stride));
            (a5, b5) = (TDot.Dot(a5, v, xa), TDot.Dot(b5, v, xb));
        }

        Vector256<float> ta = Vector256.Load(tokens), tb = Vector256.Load(tokens + 8);
        Add(a0, b0, ta, tb, scales[0], y);
        Add(a1, b1, ta, tb, scales[scaleStride], y + width);
        Add(a2, b2, ta, tb, scales[2 * scaleStride], y + (2 * width));
        Add(a3, b3, ta, tb, scales[3 * scaleStride], y + (3 * width));
        Add(a4, b4, ta, tb, scales[4 * scaleStride], y + (4 * width));
        Add(a5, b5, ta, tb, scales[5 * scaleStride], y + (5 * width));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4<TDot>(int segment, byte* w, long stride, float* scales, int scaleStride, sbyte* x, float* tokens, int* offsets,
        int shift, float* y, long width)
        where TDot : struct, IDotLanes
    {
        Vector256<int> a0 = Vector256.Load(offsets) >> shift, b0 = Vector256.Load(offsets + 8) >> shift;
        Vector256<int> a1 = a0, a2 = a0, a3 = a0, b1 = b0, b2 = b0, b3 = b0;
        byte* w2 = w + (2 * stride);
        for (byte* end = w + segment; w < end; w += 4, w2 += 4, x += 4 * width)
        {
            Vector256<sbyte> xa = Vector256.Load(x), xb = Vector256.Load(x + 32);
            Vector256<byte> v = TDot.Four(w);
            (a0, b0) = (TDot.Dot(a0, v, xa), TDot.Dot(b0, v, xb));
            v = TDot.Four(w + stride);
            (a1, b1) = (TDot.Dot(a1, v, xa), TDot.Dot(b1, v, xb));
            v = TDot.Four(w2);
            (a2, b2) = (TDot.Dot(a2, v, xa), TDot.Dot(b2, v, xb));
            v = TDot.Four(w2 + stride);
            (a3, b3) = (TDot.Dot(a3, v, xa), TDot.Dot(b3, v, xb));
        }

        Vector256<float> ta = Vector256.Load(tokens), tb = Vector256.Load(tokens + 8);
        Add(a0, b0, ta, tb, scales[0], y);
        Add(a1, b1, ta, tb, scales[scaleStride], y + width);
        Add(a2, b2, ta, tb, scales[2 * scaleStride], y + (2 * width));
        Add(a3, b3, ta, tb, scales[3 * scaleStride], y + (3 * width));
    }

    // y += scale of the weights * (scale of the token * sum), for sixteen tokens.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector256<int> a, Vector256<int> b, Vector256<float> ta, Vector256<float> tb, float scale, float* y)
    {
        Vector256<float> weights = Vector256.Create(scale);
        Vector256.FusedMultiplyAdd(weights, Vector256.ConvertToSingle(a) * ta, Vector256.Load(y)).Store(y);
        Vector256.FusedMultiplyAdd(weights, Vector256.ConvertToSingle(b) * tb, Vector256.Load(y + 8)).Store(y + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOutliers(TileOutliers outliers, int tileIndex, float* x, float* y, int width, int lanes)
    {
        int shift = outliers.Tile == 32 ? 5 : outliers.Tile == 64 ? 6 : 7;
        for (int e = tileIndex * outliers.PerTile; e < (tileIndex + 1) * outliers.PerTile; e++)
        {
            int place = outliers.Places[e];
            float* to = y + ((long)(place >> shift) * width), from = x + ((long)(place & (outliers.Tile - 1)) * width);
            Vector256<float> value = Vector256.Create((float)outliers.Values[e]);
            for (int lane = 0; lane < lanes; lane += Vector256<float>.Count)
            {
                Vector256.FusedMultiplyAdd(value, Vector256.Load(from + lane), Vector256.Load(to + lane)).Store(to + lane);
            }
        }
    }
}
