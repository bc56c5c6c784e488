using RbeMl.Codec;

namespace RbeMl.Models.Compression;

/// <summary>The scales of quantised and trellis codes are fp16 numbers, so weights far from ordinary sizes would silently lose their meaning.</summary>
internal static class WeightRange
{
    private const double Least = 1e-6, Most = 1e4;

    /// <summary>Refuses a matrix whose root mean square is beyond what the format's scales hold.</summary>
    /// <exception cref="InvalidSettingException">It is.</exception>
    public static void Require(string name, ReadOnlySpan<float> weights, RbeFormat format)
    {
        if (format is not (QuantizedFormat or TrellisFormat)) return;
        double size = Math.Sqrt(MatrixOutcome.EnergyOf(weights) / Math.Max(1, weights.Length));
        if (size == 0 || size is >= Least and <= Most) return;
        throw new InvalidSettingException($"root mean square of \"{name}\"", size.ToString("G3", System.Globalization.CultureInfo.InvariantCulture), FormattableString.Invariant($"fp16 scales hold weights of {Least} to {Most}: scale the matrix, leave it out by name, or use a sparse format."));
    }
}
