using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Attention of one head of one sequence. Matrices are feature-major: <c>q [headWidth][queryStride]</c>, <c>k, v [headWidth][keyStride]</c>,
/// so a lane is a query or a key. Strides are multiples of 16, pointers 64-byte aligned, elements beyond the counts zero.
/// Query t has position Keys - Queries + t; when causal it sees keys up to its position.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public unsafe struct AttentionProblem<T>
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
    /// <c>[2][queryStride]</c>, from which a probability is exp(score - maximum) * inverse: the maximum of a query's scaled, masked scores (-infinity for a query
    /// that sees nothing), then 1 / sum of exp(score - maximum) (0 for such a query). Their log-sum-exp alone would not do: where a mask shifts all scores far
    /// from 0, rounding takes the logarithm of the sum away.
    /// </summary>
    public T* RowStatistics;

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
}
