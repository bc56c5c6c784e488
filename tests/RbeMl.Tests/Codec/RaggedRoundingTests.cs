using RbeMl.Codec;
using RbeMl.Kernels;
using Xunit.Abstractions;

namespace RbeMl.Tests.Codec;

/// <summary>
/// Tiles that lie partly outside the matrix: their coefficients stay of the size of the weights, so that rounding them costs no more than
/// elsewhere.
/// </summary>
public sealed class RaggedRoundingTests(ITestOutputHelper output)
{
    public static TheoryData<int, int, string> Cases()
    {
        TheoryData<int, int, string> cases = [];
        foreach ((int rows, int columns) in ((int, int)[])[(96, 96), (100, 100), (72, 300), (64, 33)])
        {
            foreach (string format in (string[])["runs16", "runs4", "topk", "random", "low", "delta", "trellis-delta"]) cases.Add(rows, columns, format);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Rounding_a_coefficient_costs_what_it_costs_in_a_whole_tile(int rows, int columns, string format)
    {
        Random random = new(3);
        float[] weights = new float[rows * columns];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = (float)(0.02 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        RbeFormat rule = format switch
        {
            "runs16" => RbeFormat.Sparse(300),
            "runs4" => RbeFormat.Sparse(300, SupportRule.Runs(4)),
            "topk" => RbeFormat.Sparse(300, SupportRule.TopK),
            "random" => RbeFormat.Sparse(300, SupportRule.Random(1)),
            "low" => RbeFormat.Sparse(300, SupportRule.LowFrequency),
            "delta" => RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) },
            _ => RbeFormat.Trellis(4) with { Delta = RbeFormat.Sparse(64) },
        };
        RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Format = rule }, out CompressionReport report);
        float[] rounded = WeightRounding.Round("matrix", matrix.Coefficients, WeightPrecision.BFloat16);
        RbeMatrix copy = new(matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, matrix.Alphas, matrix.Support, rounded, matrix.Base, matrix.Format);
        double change = RbeCompressor.RelativeError(matrix.ToDense(), copy.ToDense());
        output.WriteLine($"{rows} x {columns} {format}: largest {matrix.Coefficients.Max(Math.Abs):G3}, change {change:G3}, error {report.RelativeError:F5}");
        Assert.InRange(change, 0, 1.0 / 256);
    }
}
