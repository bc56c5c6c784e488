using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>A BERT written down plainly, in double, straight from Hugging Face's tensors and in BERT's own order: what the product is compared with.</summary>
internal sealed class PlainBert(BertModel model)
{
    private readonly int _width = (int)model.Config["hidden_size"]!, _heads = (int)model.Config["num_attention_heads"]!,
        _layers = (int)model.Config["num_hidden_layers"]!;

    /// <summary>[T][D] of one sequence after the last layer.</summary>
    public double[][] Hidden(int[] tokens)
    {
        float[] words = Weight("embeddings.word_embeddings.weight"), positions = Weight("embeddings.position_embeddings.weight"),
            types = Weight("embeddings.token_type_embeddings.weight");
        double[][] x = [.. tokens.Select((token, t) => Norm(
            [.. Enumerable.Range(0, _width).Select(i => (double)words[(token * _width) + i] + positions[(t * _width) + i] + types[i])],
            "embeddings.LayerNorm"))];
        for (int l = 0; l < _layers; l++)
        {
            string layer = $"encoder.layer.{l}.";
            double[][] q = All("query"), k = All("key"), v = All("value");
            x = [.. x.Select((row, t) => Norm(Add(Linear(Attend(q[t], k, v), layer + "attention.output.dense"), row), layer + "attention.output.LayerNorm"))];
            x = [.. x.Select(row => Norm(Add(Linear([.. Linear(row, layer + "intermediate.dense").Select(Gelu)], layer + "output.dense"), row),
                layer + "output.LayerNorm"))];

            double[][] All(string part) => [.. x.Select(row => Linear(row, $"{layer}attention.self.{part}"))];
        }

        return x;
    }

    /// <summary>The vector of one sequence.</summary>
    public double[] Embed(int[] tokens, Pooling pooling, bool normalize)
    {
        double[][] x = Hidden(tokens);
        double[] row = [.. Enumerable.Range(0, _width).Select(i => pooling switch
        {
            Pooling.Mean => x.Average(token => token[i]),
            Pooling.Max => x.Max(token => token[i]),
            Pooling.First => x[0][i],
            _ => x[^1][i],
        })];
        double length = normalize ? Math.Sqrt(row.Sum(value => value * value)) : 1;
        return [.. row.Select(value => value / length)];
    }

    private double[] Attend(double[] query, double[][] keys, double[][] values)
    {
        int d = _width / _heads;
        double[] result = new double[_width];
        for (int at = 0; at < _width; at += d)
        {
            double[] weights = [.. keys.Select(key => Math.Exp(Enumerable.Range(at, d).Sum(i => query[i] * key[i]) / Math.Sqrt(d)))];
            for (int i = at; i < at + d; i++) result[i] = weights.Select((w, s) => w * values[s][i]).Sum() / weights.Sum();
        }

        return result;
    }

    private double[] Linear(double[] x, string name)
    {
        float[] weight = Weight(name + ".weight"), bias = Weight(name + ".bias");
        return [.. bias.Select((b, o) => b + x.Select((value, i) => value * weight[(o * x.Length) + i]).Sum())];
    }

    private double[] Norm(double[] x, string name)
    {
        double mean = x.Average(), deviation = Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + 1e-12);
        return [.. x.Select((v, i) => ((v - mean) / deviation * Weight(name + ".weight")[i]) + Weight(name + ".bias")[i])];
    }

    private float[] Weight(string name) => model.Tensors[name].Values;

    private static double[] Add(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    // x times the normal distribution's share below x, integrated by Simpson's rule.
    private static double Gelu(double x)
    {
        const int Steps = 2000;
        double h = x / Steps, sum = 0;
        for (int i = 0; i <= Steps; i++) sum += (i is 0 or Steps ? 1 : i % 2 == 1 ? 4 : 2) * Math.Exp(-i * h * i * h / 2);
        return x * (0.5 + (sum * h / 3 / Math.Sqrt(2 * Math.PI)));
    }
}
