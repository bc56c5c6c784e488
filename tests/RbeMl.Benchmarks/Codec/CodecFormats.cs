using System.Globalization;
using RbeMl.Codec;

namespace RbeMl.Benchmarks.Codec;

/// <summary>The ways to store a block that have a row in the table.</summary>
internal static class CodecFormats
{
    /// <summary>Budgets in bits a weight whose best use is looked for: 80, 85 and 91 % saved.</summary>
    public static readonly double[] Budgets = [6.4, 4.75, 2.88];

    /// <summary>Block error that is looked for with the fewest bits.</summary>
    public const double Error = 0.02;

    /// <summary>One format for all matrices, by name.</summary>
    public static IEnumerable<(string Name, RbeOptions Options)> Uniform(bool quick)
    {
        yield return ("seed K=300", new RbeOptions { Format = RbeFormat.Seed(300) });
        yield return ("sparse K=300 runs of 16", new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.Runs(16)) });
        yield return ("sparse K=690 largest", new RbeOptions { Format = RbeFormat.Sparse(690, SupportRule.TopK) });
        foreach (int bits in quick ? [4, 8] : Enumerable.Range(2, 7))
        {
            yield return (Name("quantized", bits), new RbeOptions { Format = RbeFormat.Quantized(bits), Alphas = false });
            if (bits == 4)
            {
                yield return (Name("quantized", bits) + " + 8 outliers",
                    new RbeOptions { Format = RbeFormat.Quantized(bits) with { Outliers = 8 }, Alphas = false });
            }
        }

        foreach (int bits in (int[])(quick ? [4] : [2, 3, 4, 5, 6, 8]))
        {
            yield return (Name("trellis", bits), new RbeOptions { Format = RbeFormat.Trellis(bits), Alphas = false });
        }
    }

    /// <summary>Whether rounding can make use of a calibration.</summary>
    public static bool TakesCalibration(RbeFormat format) => format is QuantizedFormat or TrellisFormat;

    private static string Name(string kind, int bits) => string.Create(CultureInfo.InvariantCulture, $"{kind} {bits}");
}
