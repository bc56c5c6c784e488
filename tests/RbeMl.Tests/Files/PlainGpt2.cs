namespace RbeMl.Tests.Files;

/// <summary>A GPT-2 written down plainly, in double, straight from Hugging Face's tensors ([in, out] maps): what the product is compared with.</summary>
internal sealed class PlainGpt2(HuggingFaceModel model)
{
    private readonly int _width = (int)model.Config["n_embd"]!, _heads = (int)model.Config["n_head"]!, _vocabulary = (int)model.Config["vocab_size"]!;

    /// <summary>[T, V] of one sequence.</summary>
    public double[] Logits(int[] tokens)
    {
        double[][] x = [
            .. tokens.Select((token, t) => Enumerable.Range(0, _width)
                .Select(i => (double)Weight("wte.weight")[(token * _width) + i] + Weight("wpe.weight")[(t * _width) + i]).ToArray())];
        for (int l = 0; l < 2; l++)
        {
            double[][] qkv = [.. x.Select(row => Linear(Norm(row, $"h.{l}.ln_1"), $"h.{l}.attn.c_attn"))];
            double[][] attended = [.. Enumerable.Range(0, x.Length).Select(t => Attend(qkv, t, l))];
            for (int t = 0; t < x.Length; t++) x[t] = Add(x[t], Linear(attended[t], $"h.{l}.attn.c_proj"));
            for (int t = 0; t < x.Length; t++)
            {
                x[t] = Add(x[t], Linear([.. Linear(Norm(x[t], $"h.{l}.ln_2"), $"h.{l}.mlp.c_fc").Select(Gelu)], $"h.{l}.mlp.c_proj"));
            }
        }

        float[] head = model.Tensors.TryGetValue("lm_head.weight", out var own) ? own.Values : Weight("wte.weight");
        return [.. x.Select(row => Norm(row, "ln_f"))
            .SelectMany(row => Enumerable.Range(0, _vocabulary).Select(v => row.Select((value, i) => value * head[(v * _width) + i]).Sum()))];
    }

    /// <summary>Mean loss in nats of predicting targets.</summary>
    public double Loss(int[] tokens, int[] targets)
    {
        double[] logits = Logits(tokens);
        return targets.Select((target, t) => Math.Log(Enumerable.Range(0, _vocabulary).Sum(v => Math.Exp(logits[(t * _vocabulary) + v])))
            - logits[(t * _vocabulary) + target]).Average();
    }

    private bool Flag(string key, bool missing) => model.Config[key] is { } value ? (bool)value : missing;

    private float[] Weight(string name) => model.Tensors["transformer." + name].Values;

    private double[] Attend(double[][] qkv, int t, int layer)
    {
        int d = _width / _heads;
        double scale = Flag("scale_attn_weights", true) ? 1 / Math.Sqrt(d) : 1;
        if (Flag("scale_attn_by_inverse_layer_idx", false)) scale /= layer + 1;
        double[] result = new double[_width];
        for (int head = 0; head < _heads; head++)
        {
            int q = head * d, k = _width + q, v = (2 * _width) + q;
            double[] weights = [.. Enumerable.Range(0, t + 1).Select(s => Math.Exp(scale * Enumerable.Range(0, d).Sum(i => qkv[t][q + i] * qkv[s][k + i])))];
            for (int i = 0; i < d; i++) result[q + i] = weights.Select((w, s) => w * qkv[s][v + i]).Sum() / weights.Sum();
        }

        return result;
    }

    private double[] Linear(double[] x, string name)
    {
        float[] weight = Weight(name + ".weight"), bias = Weight(name + ".bias");
        return [.. bias.Select((b, o) => b + x.Select((value, i) => value * weight[(i * bias.Length) + o]).Sum())];
    }

    private double[] Norm(double[] x, string name)
    {
        double mean = x.Average(), deviation = Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + 1e-5);
        return [.. x.Select((v, i) => ((v - mean) / deviation * Weight(name + ".weight")[i]) + Weight(name + ".bias")[i])];
    }

    private static double[] Add(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private static double Gelu(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x))));
}
