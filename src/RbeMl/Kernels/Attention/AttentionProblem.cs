using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Attention of one head of one sequence. Matrices are feature-major: <c>q [headWidth][queryStride]</c>, <c>k, v [headWidth][keyStride]</c>,
/// so a lane is a query or a key. Strides are multiples of 16, pointers 64-byte aligned, elements beyond the counts finite.
/// A single query of at most 256 features may have strides of 1 and lie anywhere, unless it has attention weights or dropout.
/// Query t has position Keys - Queries + t; when causal it sees keys up to its position.
/// Sequences may also lie in blocks of 64, as in panels: element (feature, t) is then at (t / 64) * block + feature * stride + t % 64.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal unsafe struct AttentionProblem<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Width of a head.</summary>
    public int HeadWidth;

    /// <summary>Number of queries T.</summary>
    public int Queries;

    /// <summary>Number of keys, past included.</summary>
    public int Keys;

    /// <summary>Elements from one feature of q to the next; at least Queries, a multiple of 16.</summary>
    public int QueryStride;

    /// <summary>Elements from one feature of k or v to the next; at least Keys, a multiple of 16.</summary>
    public int KeyStride;

    /// <summary>Elements from 64 queries to the next 64; 0 (that is 64) where rows are contiguous.</summary>
    public long QueryBlock;

    /// <summary>The same of the output and its gradient, whose rows have the stride of q.</summary>
    public long OutputBlock;

    /// <summary>Elements from 64 keys to the next 64; 0 (that is 64) where rows are contiguous.</summary>
    public long KeyBlock;

    /// <summary>First query to do, a multiple of 64: parts of one problem may run on different threads.</summary>
    public int FirstQuery;

    /// <summary>Queries to do end here; 0 for all.</summary>
    public int EndQuery;

    /// <summary>Which gradients the backward fills, in a part of the queries or of the keys.</summary>
    public AttentionGradients Gradients;

    /// <summary>First key whose gradients are filled, a multiple of 64; for <see cref="AttentionGradients.KeysAndValues"/>.</summary>
    public int FirstKey;

    /// <summary>Keys whose gradients are filled end here; 0 for all.</summary>
    public int EndKey;

    /// <summary>Keys in a compressed format, in place of <see cref="K"/>; their stride is <see cref="KeyStride"/>.</summary>
    public KvRows CompressedK;

    /// <summary>Values in a compressed format, in place of <see cref="V"/>.</summary>
    public KvRows CompressedV;

    /// <summary>Room for a block of keys and one of values, <c>[2][headWidth][64]</c>; needed with a compressed format.</summary>
    public T* Tiles;

    /// <summary>Whether a query sees only keys up to its own position.</summary>
    public bool Causal;

    /// <summary>Factor of the scores, 1/sqrt(headWidth).</summary>
    public T Scale;

    /// <summary>Queries, <c>[headWidth][queryStride]</c>.</summary>
    public T* Q;

    /// <summary>Keys, <c>[headWidth][keyStride]</c>.</summary>
    public T* K;

    /// <summary>Values, <c>[headWidth][keyStride]</c>.</summary>
    public T* V;

    /// <summary>Result, <c>[headWidth][queryStride]</c>; lanes beyond Queries become zero.</summary>
    public T* Output;

    /// <summary>
    /// <c>[2][statisticsStride]</c>, from which a probability is exp(score - maximum) * inverse: the maximum of a query's scaled, masked
    /// scores (-infinity for a query that sees nothing), then 1 / sum of exp(score - maximum) (0 for such a query). Their log-sum-exp alone
    /// would not do: where a mask shifts all scores far from 0, rounding takes the logarithm of the sum away.
    /// </summary>
    public T* RowStatistics;

    /// <summary>Elements from the maxima to the inverse sums; 0 for <see cref="QueryStride"/>.</summary>
    public int StatisticsStride;

    /// <summary><c>[keys]</c>: 0 hides a key, anything else shows it; null shows all.</summary>
    public byte* KeyPadding;

    /// <summary><c>[queries][keys]</c> row-major, added to the scaled scores; null adds nothing.</summary>
    public T* AdditiveMask;

    /// <summary>When not null receives the probabilities after dropout, <c>[queries][keys]</c> row-major (forward only).</summary>
    public T* Weights;

    /// <summary>Dropout of the probabilities, 0 for none.</summary>
    public float Dropout;

    /// <summary>Random stream of the dropout: row = DropoutRow + query, column = key.</summary>
    public RandomKey DropoutKey;

    /// <summary>Row of query 0 in the random stream.</summary>
    public long DropoutRow;

    /// <summary>Gradient of the output (backward), <c>[headWidth][queryStride]</c>.</summary>
    public T* OutputGradient;

    /// <summary>Gradient of q (backward, overwritten).</summary>
    public T* QGradient;

    /// <summary>Gradient of k for all keys (backward, overwritten).</summary>
    public T* KGradient;

    /// <summary>Gradient of v for all keys (backward, overwritten).</summary>
    public T* VGradient;

    /// <summary>Whether keys and values are compressed.</summary>
    public readonly bool IsCompressed => CompressedK.Format != KvFormat.F32;

    internal readonly int LastQuery => EndQuery == 0 ? Queries : EndQuery;

    internal readonly int LastKey => EndKey == 0 ? Keys : EndKey;

    internal readonly int Inverse => StatisticsStride == 0 ? QueryStride : StatisticsStride;

    internal readonly long QueryAt(int query) => At(query, QueryBlock);

    internal readonly long OutputAt(int query) => At(query, OutputBlock);

    internal readonly long KeyAt(int key) => At(key, KeyBlock);

    private static long At(int token, long block) => block == 0 ? token : ((token >> 6) * block) + (token & 63);
}

/// <summary>What a backward of attention fills.</summary>
internal enum AttentionGradients
{
    /// <summary>All three gradients, in one pass over the scores; of all queries and keys.</summary>
    All,

    /// <summary>
    /// The gradient of the queries of a part. With <see cref="KeysAndValues"/> the same bits as <see cref="All"/>, from 7 products instead
    /// of 5.
    /// </summary>
    Queries,

    /// <summary>The gradients of the keys and values of a part, from all queries.</summary>
    KeysAndValues,
}
