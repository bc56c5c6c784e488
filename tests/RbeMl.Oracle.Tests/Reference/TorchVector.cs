using RbeMl.Layers;
using RbeMl.Oracle.Tests.Support;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>A LayerNorm's gamma or beta: its leaf, or a linear map of it.</summary>
/// <param name="Leaf">The trained values.</param>
/// <param name="Map">[D, terms], or null when the leaf is the vector.</param>
internal sealed record TorchVector(Tensor Leaf, Tensor? Map = null)
{
    /// <summary>[D].</summary>
    public Tensor Value => Map is null ? Leaf : Map.matmul(Leaf);

    /// <summary>A vector of D features in one of the library's storages, its leaf zero unless the storage is dense.</summary>
    public static TorchVector Create(LayerNormStorage storage, float[] values, ScalarType type)
    {
        int features = values.Length, terms = storage == LayerNormStorage.Scalar ? 1 : Math.Max(1, features / 8);
        if (storage == LayerNormStorage.Dense) return new TorchVector(DenseMatrix.Leaf(values, type, features));

        // v[i] = sum_k c_k cos(π k (i + ½) / D); a scalar is the term k = 0.
        double[] cosines =
            [.. Enumerable.Range(0, features).SelectMany(i => Enumerable.Range(0, terms).Select(k => Math.Cos(Math.PI * k * (i + 0.5) / features)))];
        return new TorchVector(zeros(terms, type).requires_grad_(), Tensors.From(cosines, features, terms).to(type));
    }
}
