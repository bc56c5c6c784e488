using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Layers;

/// <content>Copies for inference.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private bool _isCompact;
    private bool _usesCodes;

    /// <summary>
    /// A copy with the current values of the parameters whose sparse coefficients, in runs of sixteen or free places, lie once more in the order and precision that generation reads fastest. It
    /// computes what this block does, of rounded coefficients if asked to; it cannot be trained.
    /// </summary>
    /// <param name="precision">Of the sparse coefficients and trellis codes; everything else stays as it is.</param>
    /// <param name="activations">Of the inputs of products with frozen codes. Single vectors, whose time is that of reading the weights, stay as they are.</param>
    /// <exception cref="InvalidSettingException">
    /// Int8 activations where no weights are codes, or of elements other than float; or weights so small or large that the precision cannot hold them.
    /// </exception>
    public RbeTransformerBlock<T> ToInference(WeightPrecision precision = WeightPrecision.Float32, ActivationPrecision activations = ActivationPrecision.Float32)
    {
        BlockWeights weights = GetCompressedWeights();
        RequireCodes(activations, [weights]);
        RbeTransformerBlock<T> copy = new(_config, Rounded(weights, precision), Layer);
        copy.Compact(precision, activations);
        return copy;
    }

    /// <summary>Requires int8 activations to have something to act on.</summary>
    internal static void RequireCodes(ActivationPrecision activations, IEnumerable<BlockWeights> blocks)
    {
        if (!Enum.IsDefined(activations)) throw new InvalidSettingException(nameof(activations), activations, "use Float32 or Int8.");
        if (activations == ActivationPrecision.Float32) return;
        if (typeof(T) != typeof(float)) throw new InvalidSettingException(nameof(activations), activations, $"int8 stands for float activations, not {typeof(T).Name}; use Float32.");
        if (blocks.Any(b => new[] { b.Query, b.Key, b.Value, b.Output, b.Expand, b.Contract }.Any(m => m.Base is not null))) return;
        throw new InvalidSettingException(nameof(activations), activations, "no weights are frozen codes (Quantized or Trellis), so it would change nothing; use Float32.");
    }

    /// <summary>The weights with rounded sparse coefficients and, if asked to, trellis codes.</summary>
    internal static BlockWeights Rounded(BlockWeights weights, WeightPrecision precision)
    {
        return weights with
        {
            Query = Round(0, weights.Query),
            Key = Round(1, weights.Key),
            Value = Round(2, weights.Value),
            Output = Round(3, weights.Output),
            Expand = Round(4, weights.Expand),
            Contract = Round(5, weights.Contract),
        };

        RbeMatrix Round(int index, RbeMatrix m)
        {
            (FrozenTiles? tiles, RbeFormat format) = precision == WeightPrecision.Int8 && m is { Base: TrellisTiles trellis, Format: TrellisFormat given }
                ? (trellis.ToEightBits(), given with { Bits = 8 })
                : (m.Base, m.Format);
            return new(m.Rows, m.Columns, m.Tile, m.Transform, m.Alphas, m.Support, WeightRounding.Round(BlockWeights.MatrixNames[index], m.Coefficients, precision), tiles, format);
        }
    }

    /// <summary>Copies the coefficients of all matrices for vectors, which must be of that precision already, and chooses the products with codes.</summary>
    internal void Compact(WeightPrecision precision, ActivationPrecision activations)
    {
        _isCompact = true;
        _usesCodes = activations == ActivationPrecision.Int8;
        WeightPrecision sparse = precision == WeightPrecision.Float32 ? precision : WeightPrecision.BFloat16;
        foreach (RbeLinear<T> linear in Linears)
        {
            linear.Compact(sparse);
            if (activations == ActivationPrecision.Int8) linear.UseCodes();
        }
    }
}
