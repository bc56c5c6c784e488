using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Layers;

/// <content>Copies for inference.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private bool _isCompact;

    /// <summary>
    /// A copy with the current values of the parameters whose sparse coefficients, in runs of sixteen or free places, lie once more in the order and precision that generation reads fastest. It
    /// computes what this block does, of rounded coefficients if asked to; it cannot be trained.
    /// </summary>
    /// <param name="precision">Of the sparse coefficients and trellis codes; everything else stays as it is.</param>
    public RbeTransformerBlock<T> ToInference(WeightPrecision precision = WeightPrecision.Float32)
    {
        RbeTransformerBlock<T> copy = new(_config, Rounded(GetCompressedWeights(), precision), Layer);
        copy.Compact(precision);
        return copy;
    }

    /// <summary>The weights with rounded sparse coefficients and, if asked to, trellis codes.</summary>
    internal static BlockWeights Rounded(BlockWeights weights, WeightPrecision precision)
    {
        return weights with
        {
            Query = Round(weights.Query),
            Key = Round(weights.Key),
            Value = Round(weights.Value),
            Output = Round(weights.Output),
            Expand = Round(weights.Expand),
            Contract = Round(weights.Contract),
        };

        RbeMatrix Round(RbeMatrix m)
        {
            (FrozenTiles? tiles, RbeFormat format) = precision == WeightPrecision.Int8 && m is { Base: TrellisTiles trellis, Format: TrellisFormat given }
                ? (trellis.ToEightBits(), given with { Bits = 8 })
                : (m.Base, m.Format);
            return new(m.Rows, m.Columns, m.Tile, m.Transform, m.Alphas, m.Support, WeightRounding.Round(m.Coefficients, precision), tiles, format);
        }
    }

    /// <summary>Copies the coefficients of all matrices for vectors; they must be of that precision already.</summary>
    internal void Compact(WeightPrecision precision)
    {
        _isCompact = true;
        WeightPrecision sparse = precision == WeightPrecision.Float32 ? precision : WeightPrecision.BFloat16;
        foreach (RbeLinear<T> linear in Linears) linear.Compact(sparse);
    }
}
