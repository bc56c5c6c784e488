using System.Runtime.CompilerServices;

namespace RbeMl.Kernels;

/// <summary>One block of up to 64 keys x 64 queries of an attention problem: <c>[key][query]</c>, so that a lane is a query.</summary>
internal unsafe struct AttentionKernelBlock
{
    /// <summary>Keys and queries of a full block.</summary>
    internal const int Size = 64;

    /// <summary>First query and number of lanes, a multiple of 16 (the last may be padding).</summary>
    internal int Query, Lanes;

    /// <summary>First key and number of keys.</summary>
    internal int Key, Keys;

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
        Lanes = LanesFrom(p, query);
        for (int i = 0; i < Lanes; i++) Positions[i] = p.Keys - p.Queries + query + i;
    }

    /// <summary>Sets the key side; false when none of the queries sees any of the keys or of those after.</summary>
    internal bool StartKeys(in AttentionProblem<float> p, int key)
    {
        Key = key;
        Keys = Math.Min(Size, p.Keys - key);
        return Keys > 0 && !(p.Causal && key > Positions[Lanes - 1]);
    }

    /// <summary>Scores[key][query] = scale q'k + mask; -infinity where the key is hidden.</summary>
    internal readonly void Score<TLanes>(in AttentionProblem<float> p)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        GemmLanes.Multiply<TLanes>(Keys, Lanes, p.HeadWidth, p.K + Key, 1, p.KeyStride, p.Q + Query, p.QueryStride, Scores, Lanes, false);
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
