using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Weights with the kinds of structure that trained matrices have, and some that they do not.</summary>
internal static class WeightFamilies
{
    public static readonly string[] Names =
    [
        "white", "smooth", "smooth and noise", "rank 1", "rank 4", "constant", "mean and noise", "two values", "three values", "sixteen values",
            "uniform", "heavy tails", "scaled rows",
        "scaled columns", "outliers", "one per cent", "dead rows", "half zero", "steps", "bf16", "basis functions",
    ];

    public static float[] Make(string name, int rows, int columns, int seed)
    {
        Random random = new(seed);
        int n = rows * columns;
        float[] white = Numbers.Normal(n, seed, 0.02), scales = Numbers.Normal(Math.Max(rows, columns), seed + 1);
        float[] Each(Func<int, double> value) => [.. Enumerable.Range(0, n).Select(i => (float)value(i))];
        return name switch
        {
            "white" => white,
            "smooth" => Waves(rows, columns, random),
            "smooth and noise" => [.. Waves(rows, columns, random).Zip(white, (s, w) => s + w)],
            "rank 1" => LowRank(rows, columns, 1, seed),
            "rank 4" => LowRank(rows, columns, 4, seed),
            "constant" => Each(_ => 0.37),
            "mean and noise" => Each(i => 1 + white[i]),
            "two values" => Each(_ => random.Next(2) - 0.5),
            "three values" => Each(_ => random.Next(3) - 1),
            "sixteen values" => Each(_ => random.Next(16) - 7.5),
            "uniform" => Each(_ => random.NextDouble() - 0.5),
            "heavy tails" => Each(i => white[i] / Math.Sqrt(1 - random.NextDouble())), // variance infinite
            "scaled rows" => Each(i => white[i] * Math.Exp(1.2 * scales[i / columns])),
            "scaled columns" => Each(i => white[i] * Math.Exp(1.2 * scales[i % columns])),
            "outliers" => Each(i => random.Next(1000) == 0 ? 30 * white[i] : white[i]),
            "one per cent" => Each(i => random.Next(100) == 0 ? white[i] : 0),
            "dead rows" => Each(i => i / columns % 3 == 0 ? 0 : white[i]),
            "half zero" => Each(i => i / columns < rows / 2 ? 0 : white[i]),
            "steps" => Each(i => (i / columns * 3 / rows) + (i % columns * 5 / columns)),
            "bf16" => Each(i => BitConverter.Int32BitsToSingle((int)(BitConverter.SingleToUInt32Bits(white[i]) & 0xFFFF0000))),
            "basis functions" => Basis(rows, columns, scales),
            _ => throw new ArgumentOutOfRangeException(nameof(name)),
        };
    }

    /// <summary>Twelve waves of low frequency.</summary>
    public static float[] Waves(int rows, int columns, Random random)
    {
        double[] sum = new double[rows * columns];
        for (int wave = 0; wave < 12; wave++)
        {
            double u = 4 * random.NextDouble(), v = 4 * random.NextDouble(), phase = 7 * random.NextDouble();
            for (int e = 0; e < sum.Length; e++) sum[e] += Math.Cos((2 * Math.PI * ((u * (e / columns) / rows) + (v * (e % columns) / columns))) + phase);
        }

        return [.. sum.Select(s => (float)s)];
    }

    private static float[] LowRank(int rows, int columns, int rank, int seed)
    {
        float[] a = Numbers.Normal(rows * rank, seed + 2), b = Numbers.Normal(columns * rank, seed + 3);
        return [.. Enumerable.Range(0, rows * columns)
            .Select(i => Enumerable.Range(0, rank).Sum(k => a[(i / columns * rank) + k] * b[(i % columns * rank) + k]))];
    }

    // Every tile of 64 a sum of the eight functions.
    private static float[] Basis(int rows, int columns, float[] alphas)
    {
        double[][] functions = BasisFunctions.Get(TileTransform.Dct, 64).Functions;
        return
        [
            .. Enumerable.Range(0, rows * columns).Select(i =>
            {
                int r = i / columns, c = i % columns, tile = (r / 64 * 5) + (c / 64);
                return (float)Enumerable.Range(0, 8).Sum(k => alphas[(tile + (3 * k)) % alphas.Length] * functions[k][(r % 64 * 64) + (c % 64)]);
            }),
        ];
    }
}
