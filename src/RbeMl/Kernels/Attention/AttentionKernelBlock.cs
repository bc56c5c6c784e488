using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>One block of up to 64 keys x 64 queries of an attention problem: <c>[key][query]</c>, so that a lane is a query.</summary>
internal unsafe struct AttentionKernelBlock
{
    /// <summary>Keys and queries of a full block.</summary>
    internal const int Size = 64;

    /// <summary>Queries or keys whose common hidden part is left out of products.</summary>
    internal const int Strip = 32;

    /// <summary>First query and number of lanes, a multiple of 16 (the last may be padding).</summary>
    internal int Query, Lanes;

    /// <summary>First key and number of keys.</summary>
    internal int Key, Keys;

    /// <summary>Where the first query, its output, and the first key are in a row of their matrices.</summary>
    internal long QueryAt, OutputAt, KeyAt;

    /// <summary>Keys and values of the block, <c>[feature][tileStride]</c>: in their matrices, or decompressed.</summary>
    internal float* KeyTile, ValueTile;

    /// <summary>Elements from a feature of a tile to the next.</summary>
    internal long TileStride;

    /// <summary>Positions of the queries, <c>[lanes]</c>.</summary>
    internal float* Positions;

    /// <summary>Scores, <c>[keys][lanes]</c>.</summary>
    internal float* Scores;

    /// <summary>Room for the additive mask, <c>[keys][lanes]</c>.</summary>
    internal float* Mask;

    /// <summary>Number of lanes of the queries from <paramref name="query"/>.</summary>
    internal static int LanesFrom(in AttentionProblem<float> p, int query) => Math.Min(Size, (p.Queries - query + 15) & ~15);

    /// <summary>The first multiple of 64 bytes in <paramref name="memory"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float* Align(byte* memory) => (float*)(((nuint)memory + 63) & ~(nuint)63);

    /// <summary>Sets the query side.</summary>
    internal void StartQueries(in AttentionProblem<float> p, int query)
    {
        Query = query;
        QueryAt = p.QueryAt(query);
        OutputAt = p.OutputAt(query);
        Lanes = LanesFrom(p, query);
        for (int i = 0; i < Lanes; i++) Positions[i] = p.Keys - p.Queries + query + i;
    }

    /// <summary>Sets the key side; false when none of the queries sees any of the keys or of those after.</summary>
    internal bool StartKeys<TLanes>(in AttentionProblem<float> p, int key)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        Key = key;
        Keys = Math.Min(Size, p.Keys - key);
        if (Keys <= 0 || (p.Causal && key > Positions[Lanes - 1])) return false;
        KeyAt = p.KeyAt(key);
        if (!p.IsCompressed)
        {
            KeyTile = p.K + KeyAt;
            ValueTile = p.V + KeyAt;
            TileStride = p.KeyStride;
            return true;
        }

        KeyTile = p.Tiles;
        ValueTile = p.Tiles + (long)p.HeadWidth * Size;
        TileStride = Size;
        KvKernelLanes.Load<TLanes>(p.CompressedK, key, p.HeadWidth, Keys, KeyTile, Size);
        KvKernelLanes.Load<TLanes>(p.CompressedV, key, p.HeadWidth, Keys, ValueTile, Size);
        return true;
    }

    /// <summary>Number of the block's keys that any of <paramref name="lanes"/> queries from lane <paramref name="first"/> may see.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly int VisibleKeys(in AttentionProblem<float> p, int first, int lanes) =>
        p.Causal ? Math.Clamp((int)Positions[Math.Min(first + lanes, Lanes) - 1] - Key + 1, 0, Keys) : Keys;

    /// <summary>The first lane that may see any of the block's keys from <paramref name="first"/>.</summary>
    internal readonly int FirstLane(in AttentionProblem<float> p, int first) => p.Causal ? Math.Clamp(Key + first - (int)Positions[0], 0, Lanes) : 0;

    /// <summary>
    /// b and y of these point at the block. result[key][query] = sum over features of tile[feature][key] b[feature][query], where the query
    /// may see the key; undefined elsewhere.
    /// </summary>
    internal readonly void Product<TLanes>(in AttentionProblem<float> p, float* tile, float* b, float* result)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int i = 0; i < Lanes; i += Strip)
        {
            int keys = VisibleKeys(p, i, Strip), lanes = Math.Min(Strip, Lanes - i);
            GemmLanes.Multiply<TLanes>(keys, lanes, p.HeadWidth, tile, 1, TileStride, b + i, p.QueryStride, result + i, Lanes, false);
        }
    }

    /// <summary>y[feature][query] (+)= sum over visible keys of tile[feature][key] x[key][query], x being zero where the key is hidden.</summary>
    internal readonly void SumOverKeys<TLanes>(in AttentionProblem<float> p, float* tile, float* x, float* y, bool accumulate)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int i = 0; i < Lanes; i += Strip)
        {
            int keys = VisibleKeys(p, i, Strip), lanes = Math.Min(Strip, Lanes - i);
            GemmLanes.Multiply<TLanes>(p.HeadWidth, lanes, keys, tile, TileStride, 1, x + i, Lanes, y + i, p.QueryStride, accumulate);
        }
    }

    /// <summary>
    /// y[feature][key] += sum over queries of a[feature][query] x[query][key], x being <c>[lanes][keys]</c> and zero where the key is
    /// hidden.
    /// </summary>
    internal readonly void SumOverQueries<TLanes>(in AttentionProblem<float> p, float* a, float* x, int keys, float* y)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int s = 0; s < keys; s += Strip)
        {
            int first = FirstLane(p, s);
            GemmLanes.Multiply<TLanes>(
                p.HeadWidth, Math.Min(Strip, keys - s), Lanes - first, a + first, p.QueryStride, 1, x + first * keys + s, keys, y + s, p.KeyStride, true);
        }
    }

    /// <summary>Scores[key][query] = scale q'k + mask; -infinity where the key is hidden.</summary>
    internal readonly void Score<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        Product<TLanes>(p, KeyTile, p.Q + QueryAt, Scores);
        if (p.AdditiveMask != null)
        {
            int queries = Math.Min(Lanes, p.Queries - Query);
            if (queries < Lanes) new Span<float>(Mask, Keys * Lanes).Clear();
            Elementwise.Transpose(p.AdditiveMask + (long)Query * p.Keys + Key, queries, Keys, p.Keys, Mask, Lanes);
        }

        Hide<TLanes>(p);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Hide<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes scale = TLanes.Set(p.Scale), hidden = TLanes.Set(float.NegativeInfinity);
        for (int s = 0; s < Keys; s++)
        {
            float* row = Scores + s * Lanes;
            TLanes key = TLanes.Set(Key + s);
            bool padded = p.KeyPadding != null && p.KeyPadding[Key + s] == 0;
            bool diagonal = p.Causal && Key + s > Positions[0];
            for (int i = 0; i < Lanes; i += TLanes.Count)
            {
                TLanes score = TLanes.Multiply(TLanes.Load(row + i), scale);
                if (p.AdditiveMask != null) score = TLanes.Add(score, TLanes.Load(Mask + s * Lanes + i));
                if (diagonal) score = TLanes.SelectLess(TLanes.Load(Positions + i), key, hidden, score);
                TLanes.Store(padded ? hidden : score, row + i);
            }
        }
    }
}
