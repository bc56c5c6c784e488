// A GPT-2 whose weight matrices are stored, run and trained in compressed form, in one file without a dependency. The library computes the
// same, only faster: a test holds it to the losses of this file. Read it from top to bottom: codec, layers, model, training, sampling.
// Letters: B sequences, T tokens of each, N = B T, D width, H heads, V vocabulary; S side of a tile, K coefficients kept in it.
// An array [N,D] is flat, the last index running fastest. Layers come in pairs: Forward keeps what Backward needs; Backward takes the
// gradient of the loss by the output (dy), adds to the gradients of the layer's parameters, and returns the gradient by the input (dx).
using static System.Linq.Enumerable;
using static System.Math;
using static Micro.Codec;
namespace Micro;

// ---------- Codec: what a tile, a square of a weight matrix, is made of
internal static class Codec
{
    public const int S = 32, Run = 16;
    private static readonly double[] s_places = [.. Range(0, S).Select(i => (((2.0 * i) + 1) / S) - 1)]; // of rows and columns, -1 to 1
    // The cosine transform A, [S][S]: row u is a cosine of frequency u. The rows are orthonormal, so that the transpose A' leads back.
    private static readonly double[][] s_cosines = [.. Range(0, S).Select(u =>
        s_places.Select(x => Sqrt((u == 0 ? 1.0 : 2.0) / S) * Cos(PI / 2 * u * (x + 1))).ToArray())];
    private static readonly double[][] s_transposed = [.. Range(0, S).Select(i => s_cosines.Select(row => row[i]).ToArray())];
    // A tile has a multiple, alpha, of each of eight functions phi of the place in it: x along the input, y along the output.
    private static readonly Func<double, double, double>[] s_functions = [(x, y) => 1, (x, y) => Sqrt((x * x) + (y * y)),
        (x, y) => (x * x) + (y * y), (x, y) => Cos(PI * x), (x, y) => Cos(PI * y), (x, y) => Cos(2 * PI * x), (x, y) => Cos(2 * PI * y),
        (x, y) => Cos(PI * x) * Cos(PI * y)];
    // What an alpha adds to a tile's coefficients: A phi A', without its zeros. That is little: six functions are a single coefficient.
    public static readonly (int Alpha, int Row, int Column, double Value)[] Basis = [.. from alpha in Range(0, s_functions.Length)
        let phi = s_places.Select(y => s_places.Select(x => s_functions[alpha](x, y)).ToArray()).ToArray() from row in Range(0, S)
        from column in Range(0, S) let value = Range(0, S).Sum(i => s_cosines[row][i] * Dot(phi[i], s_cosines[column]))
        where Abs(value) > 1e-10 select (alpha, row, column, value)];
    // Which coefficients a tile keeps: runs of 16 output frequencies (rows) at one input frequency (column), which is quick; at random, as
    // trained weights look like noise to any transform. None covers a place that is a function's only one: both would mean the same.
    public static IEnumerable<(int Row, int Column)> ChooseRuns(Random random, int count) =>
        Range(0, S * S / Run).Select(p => (p / S * Run, p % S))
            .Except(Basis.GroupBy(b => b.Alpha).Where(f => f.Count() == 1).Select(f => (f.First().Row / Run * Run, f.First().Column)))
            .OrderBy(_ => random.Next()).Take(count).Order();
    // A x of every S values of x, into the coefficient domain, and A' x, back. A tile is W = A' C A, so that W x = A' (C (A x)):
    // activations are transformed, once for all tiles that read them; weights never are.
    public static double[] Transform(double[] x) => [.. x.Select((_, i) => Dot(s_cosines[i % S], Row(x, i / S, S)))];
    public static double[] TransformBack(double[] x) => [.. x.Select((_, i) => Dot(s_transposed[i % S], Row(x, i / S, S)))];
    public static void Add(Span<double> y, ReadOnlySpan<double> x, double by = 1) { for (int i = 0; i < y.Length; i++) y[i] += by * x[i]; }
    public static Span<double> Row(double[] x, int row, int width) => x.AsSpan(row * width, width);

    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}

// ---------- Layers. A parameter is an array of numbers that are trained, with a factor of the learning rate.
internal sealed class Parameter(double[] values, double rate = 1, bool decays = true)
{
    public readonly double[] Values = values, Gradient = new double[values.Length];
    private readonly double[] _mean = new double[values.Length], _square = new double[values.Length];
    // Normally distributed, by Box and Muller; rounded to floats, so that the library can start from the same numbers.
    public static Parameter Normal(Random random, int count, double deviation, double rate = 1) => new([.. Range(0, count).Select(_ =>
        (double)(float)(rate * deviation * Sqrt(-2 * Log(1 - random.NextDouble())) * Cos(2 * PI * random.NextDouble())))], rate);
    // AdamW, by running means of the gradient and of its square; steps count from 1. The gradient is zero afterwards.
    public void Update(int step, double learningRate, double decay, double gradientScale, double beta1 = 0.9, double beta2 = 0.99)
    {
        for (int i = 0; i < Values.Length; i++)
        {
            double g = Gradient[i] * gradientScale;
            _mean[i] = (beta1 * _mean[i]) + ((1 - beta1) * g);
            _square[i] = (beta2 * _square[i]) + ((1 - beta2) * g * g);
            double direction = _mean[i] / (1 - Pow(beta1, step)) / (Sqrt(_square[i] / (1 - Pow(beta2, step))) + 1e-8);
            Values[i] -= learningRate * rate * (direction + (decays ? decay * Values[i] : 0));
            Gradient[i] = 0;
        }
    }
}

// y = W x + b, x [N,in], y [N,out]. W is a grid of tiles, row by row; neither it nor its gradient is ever made.
internal sealed class Linear(Random random, int inputs, int outputs, int kept, double deviation)
{
    // Where in the matrix each run begins, [tile,run], and where each alpha counts, and how much.
    public readonly (int Row, int Column)[] Runs = [.. from tile in Tiles(inputs, outputs) from run in ChooseRuns(random, kept / Run)
        select (tile.Row + run.Row, tile.Column + run.Column)];
    private readonly (int Alpha, int Row, int Column, double Value)[] _terms = [.. from tile in Tiles(inputs, outputs) from b in Basis
        select ((tile.Index * 8) + b.Alpha, tile.Row + b.Row, tile.Column + b.Column, b.Value)];
    // [tile,run,16] and [tile,8]. K coefficients stand for S * S weights, and are that much larger; a function's norm is about S, theirs 1.
    public readonly Parameter Coefficients = Parameter.Normal(random, Tiles(inputs, outputs).Count() * kept, deviation, Scale(kept));
    public readonly Parameter Alphas = new(new double[Tiles(inputs, outputs).Count() * 8], Scale(kept) / S);
    public readonly Parameter Bias = new(new double[outputs], decays: false); // [out]
    private double[] _x = []; // in the coefficient domain, [N,in]

    public double[] Forward(double[] x)
    {
        double[] y = new double[x.Length / inputs * outputs];
        _x = Transform(x);
        for ((int xn, int yn) = (0, 0); xn < x.Length; xn += inputs, yn += outputs) // where a token begins
        {
            for (int r = 0; r < Runs.Length; r++) Add(At(y, yn + Runs[r].Row), At(Coefficients.Values, r * Run), _x[xn + Runs[r].Column]);
            foreach ((int a, int row, int column, double value) in _terms) y[yn + row] += Alphas.Values[a] * value * _x[xn + column];
        }
        return [.. TransformBack(y).Select((v, i) => v + Bias.Values[i % outputs])];
    }
    // The dense gradient would be dC = dy x', S * S numbers a tile. It is computed where a run is, and summed where an alpha counts.
    public double[] Backward(double[] dy)
    {
        for (int i = 0; i < dy.Length; i++) Bias.Gradient[i % outputs] += dy[i];
        double[] dx = new double[_x.Length], g = Transform(dy);
        for ((int xn, int yn) = (0, 0); xn < dx.Length; xn += inputs, yn += outputs)
        {
            for (int r = 0; r < Runs.Length; r++) Add(At(Coefficients.Gradient, r * Run), At(g, yn + Runs[r].Row), _x[xn + Runs[r].Column]);
            for (int r = 0; r < Runs.Length; r++) dx[xn + Runs[r].Column] += Dot(At(Coefficients.Values, r * Run), At(g, yn + Runs[r].Row));
            foreach ((int a, int row, int column, double value) in _terms) Alphas.Gradient[a] += value * g[yn + row] * _x[xn + column];
            foreach ((int a, int row, int column, double value) in _terms) dx[xn + column] += value * g[yn + row] * Alphas.Values[a];
        }
        return TransformBack(dx);
    }

    private static Span<double> At(double[] x, int place) => x.AsSpan(place, Run);
    private static double Scale(int kept) => Sqrt(S * S / (double)kept);
    private static IEnumerable<(int Index, int Row, int Column)> Tiles(int inputs, int outputs) =>
        Range(0, inputs * outputs / (S * S)).Select(t => (t, t / (inputs / S) * S, t % (inputs / S) * S));
}

// y = gamma (x - mean) / sqrt(variance + 1e-5) + beta, over the D features of each token.
internal sealed class LayerNorm(int width)
{
    public readonly Parameter Gamma = new([.. Repeat(1.0, width)], decays: false), Beta = new(new double[width], decays: false); // [D]
    private double[] _normal = [], _scale = []; // (x - mean) / deviation, [N,D]; 1 / deviation, [N]

    public double[] Forward(double[] x)
    {
        double[] mean = [.. x.Chunk(width).Select(row => row.Average())];
        _scale = [.. x.Chunk(width).Select((row, n) => 1 / Sqrt(row.Average(v => (v - mean[n]) * (v - mean[n])) + 1e-5))];
        _normal = [.. x.Select((v, i) => (v - mean[i / width]) * _scale[i / width])];
        return [.. _normal.Select((v, i) => (Gamma.Values[i % width] * v) + Beta.Values[i % width])];
    }

    public double[] Backward(double[] dy)
    {
        for (int i = 0; i < dy.Length; i++) Gamma.Gradient[i % width] += dy[i] * _normal[i];
        for (int i = 0; i < dy.Length; i++) Beta.Gradient[i % width] += dy[i];
        double[] d = [.. dy.Select((v, i) => v * Gamma.Values[i % width])]; // by _normal; x also moves the mean and the deviation:
        double[] mean = [.. d.Chunk(width).Select(row => row.Average())];
        double[] along = [.. d.Chunk(width).Zip(_normal.Chunk(width), (a, b) => Dot(a, b) / width)];
        return [.. d.Select((v, i) => _scale[i / width] * (v - mean[i / width] - (_normal[i] * along[i / width])))];
    }
}

// Each head of each token takes a mean of the values of the tokens up to it, with weights softmax(query . key / sqrt(D / H)).
internal sealed class Attention(Random random, int width, int heads, int kept, double residual)
{
    public readonly Linear Query = new(random, width, width, kept, 0.02), Key = new(random, width, width, kept, 0.02);
    public readonly Linear Value = new(random, width, width, kept, 0.02), Output = new(random, width, width, kept, residual);
    private readonly double _scale = 1 / Sqrt(width / heads);
    private double[] _q = [], _k = [], _v = []; // [N,D], read as [N * H, D / H]: a row is a head of a token
    private IEnumerable<int>[] _past = []; // [N * H]: the same head of the token and of those before it in its sequence
    private double[][] _weights = []; // of these

    public double[] Forward(double[] x, int length)
    {
        (_q, _k, _v) = (Query.Forward(x), Key.Forward(x), Value.Forward(x));
        _past = [.. Range(0, x.Length / width * heads).Select(i => Range(0, (i / heads % length) + 1).Select(t => i - (t * heads)))];
        _weights = [.. _past.Select((past, i) => Softmax([.. past.Select(j => _scale * Dot(Head(_q, i), Head(_k, j)))]))];
        double[] y = new double[x.Length];
        foreach ((int i, IEnumerable<int> past) in _past.Index())
            foreach ((int j, double weight) in past.Zip(_weights[i])) Add(Head(y, i), Head(_v, j), weight);
        return Output.Forward(y);
    }

    public double[] Backward(double[] dOutput)
    {
        double[] dy = Output.Backward(dOutput), dq = new double[dy.Length], dk = new double[dy.Length], dv = new double[dy.Length];
        foreach ((int i, IEnumerable<int> past) in _past.Index())
        {
            double[] dWeights = [.. past.Select(j => Dot(Head(dy, i), Head(_v, j)))];
            double mean = Dot(_weights[i], dWeights); // weights sum to 1, so that what is common to their gradients has no effect
            double[] dScores = [.. dWeights.Zip(_weights[i], (d, weight) => _scale * weight * (d - mean))];
            foreach ((int j, double d) in past.Zip(dScores)) Add(Head(dq, i), Head(_k, j), d);
            foreach ((int j, double d) in past.Zip(dScores)) Add(Head(dk, j), Head(_q, i), d);
            foreach ((int j, double weight) in past.Zip(_weights[i])) Add(Head(dv, j), Head(dy, i), weight);
        }
        return Sum(Query.Backward(dq), Sum(Key.Backward(dk), Value.Backward(dv)));
    }

    public static double[] Softmax(double[] x) => [.. x.Select(v => 1 / x.Sum(w => Exp(w - v)))]; // exp(v) / sum of exp(w)
    public static double[] Sum(double[] x, double[] y) => [.. x.Zip(y, (a, b) => a + b)];
    private Span<double> Head(double[] x, int i) => Row(x, i, width / heads);
}

// y = x + attention(norm(x)); z = y + down(gelu(up(norm(y)))), four times as wide in between.
internal sealed class Block(Random random, int width, int heads, int kept, double residual)
{
    public readonly LayerNorm Norm1 = new(width), Norm2 = new(width);
    public readonly Attention Attention = new(random, width, heads, kept, residual);
    public readonly Linear Up = new(random, width, 4 * width, kept, 0.02), Down = new(random, 4 * width, width, kept, residual);
    private double[] _up = []; // [N,4D]

    public double[] Forward(double[] x, int length)
    {
        double[] y = Attention.Sum(x, Attention.Forward(Norm1.Forward(x), length));
        _up = Up.Forward(Norm2.Forward(y));
        return Attention.Sum(y, Down.Forward([.. _up.Select(v => v * Sigmoid(v))]));
    }

    public double[] Backward(double[] dz)
    {
        double[] dUp = [.. Down.Backward(dz).Zip(_up, (d, v) => d * GeluSlope(v))];
        double[] dy = Attention.Sum(dz, Norm2.Backward(Up.Backward(dUp)));
        return Attention.Sum(dy, Norm1.Backward(Attention.Backward(dy)));
    }

    private const double C = 1.5957691216057308, C3 = 0.044715 * C; // GELU is v sigmoid(c v + c3 v^3) with c = sqrt(8 / pi)
    private static double Sigmoid(double v) => 1 / (1 + Exp(-((C * v) + (C3 * v * v * v))));
    private static double GeluSlope(double v) => Sigmoid(v) * (1 + (v * (1 - Sigmoid(v)) * (C + (3 * C3 * v * v))));
}

// ---------- Model: embeddings of tokens and places, blocks, a last norm, and the token embedding once more as the head.
internal sealed class Model(Random random, int vocabulary, int context, int width, int heads, int layers, int kept)
{
    public readonly Parameter Tokens = Parameter.Normal(random, vocabulary * width, 0.02); // [V,D]
    public readonly Parameter Positions = Parameter.Normal(random, context * width, 0.02); // [T,D]
    public readonly Block[] Blocks = [.. Range(0, layers).Select(_ => new Block(random, width, heads, kept, 0.02 / Sqrt(2 * layers)))];
    public readonly LayerNorm Norm = new(width);
    private double[] _hidden = []; // [N,D]

    public IEnumerable<Parameter> Parameters => [Tokens, Positions,
        .. Blocks.SelectMany(b => new[] { b.Attention.Query, b.Attention.Key, b.Attention.Value, b.Attention.Output, b.Up, b.Down })
            .SelectMany(linear => new[] { linear.Coefficients, linear.Alphas, linear.Bias }),
        .. Blocks.SelectMany(b => new[] { b.Norm1, b.Norm2 }).Append(Norm).SelectMany(norm => new[] { norm.Gamma, norm.Beta })];
    // Tokens [B,T] to logits [N,V].
    public double[] Forward(int[] tokens, int length)
    {
        double[] x = [.. from n in Range(0, tokens.Length) from f in Range(0, width)
            select Tokens.Values[(tokens[n] * width) + f] + Positions.Values[(n % length * width) + f]];
        _hidden = Norm.Forward(Blocks.Aggregate(x, (y, block) => block.Forward(y, length)));
        return [.. from h in _hidden.Chunk(width) from token in Tokens.Values.Chunk(width) select Dot(h, token)];
    }
    // The mean loss, in nats, of predicting the targets [B,T]. Adds its gradients.
    public double Loss(int[] tokens, int[] targets, int length)
    {
        double[][] p = [.. Forward(tokens, length).Chunk(vocabulary).Select(Attention.Softmax)]; // [N][V]
        double loss = p.Select((row, n) => -Log(row[targets[n]])).Average();
        double[] d = [.. p.SelectMany((row, n) => row.Select((v, t) => (v - (t == targets[n] ? 1 : 0)) / p.Length))]; // by logits, [N,V]
        double[] dHidden = new double[_hidden.Length];
        for (int i = 0; i < d.Length; i++) Add(Row(dHidden, i / vocabulary, width), Row(Tokens.Values, i % vocabulary, width), d[i]);
        for (int i = 0; i < d.Length; i++) Add(Row(Tokens.Gradient, i % vocabulary, width), Row(_hidden, i / vocabulary, width), d[i]);
        double[] dx = Blocks.Reverse().Aggregate(Norm.Backward(dHidden), (dy, block) => block.Backward(dy));
        for (int n = 0; n < p.Length; n++) Add(Row(Tokens.Gradient, tokens[n], width), Row(dx, n, width));
        for (int n = 0; n < p.Length; n++) Add(Row(Positions.Gradient, n % length, width), Row(dx, n, width));
        return loss;
    }
}

// ---------- Training and sampling
internal static class Program
{
    public const int Batch = 4, Context = 32, Width = 64, Heads = 4, Layers = 2, Kept = 128, Steps = 300, Warmup = 20;
    public const double LearningRate = 1e-2, Decay = 0.1, Clip = 1;
    private const string Text = """
        A tile is a small square of a matrix of weights. The weights of a tile are a sum of waves, and only a few of the waves are kept.
        To read a tile we turn the numbers that come in into waves, once, and give each wave that is kept its part of them.
        To teach a tile we ask of each wave that is kept how the error would change with it, and move it a little the other way.
        The waves that are not kept cost nothing: no memory, no time, and no gradient. What is kept is enough to learn this text.
        """;
    public static readonly char[] Letters = [.. Text.Distinct().Order()]; // a token is a place in it

    public static Model Create(int seed) => new(new Random(seed), Letters.Length, Context, Width, Heads, Layers, Kept);
    // Inputs and targets [B,T] of a step: pieces of the text from random places, and the same one letter on.
    public static (int[] Inputs, int[] Targets) Pieces(int step)
    {
        Random random = new(step);
        int[] places = [.. Range(0, Batch).SelectMany(_ => Range(random.Next(Text.Length - Context), Context))];
        return (Encode(places.Select(p => Text[p])), Encode(places.Select(p => Text[p + 1])));
    }
    // One step, counted from 0. The learning rate rises, then falls along a cosine to a tenth; the gradient's norm is at most Clip.
    public static double Train(Model model, int step, double learningRate = LearningRate)
    {
        (int[] inputs, int[] targets) = Pieces(step);
        double loss = model.Loss(inputs, targets, Context), norm = Sqrt(model.Parameters.Sum(p => Dot(p.Gradient, p.Gradient)));
        double factor = step < Warmup ? (step + 1) / (Warmup + 1.0) : 0.55 + (0.45 * Cos(PI * (step - Warmup) / (Steps - Warmup)));
        foreach (Parameter parameter in model.Parameters) parameter.Update(step + 1, learningRate * factor, Decay, Min(1, Clip / norm));
        return loss;
    }
    // Draws letter after letter; the lower the temperature, the more often the likeliest.
    public static string Sample(Model model, string text, int letters, double temperature, Random random)
    {
        for (int i = 0; i < letters; i++)
        {
            int[] tokens = Encode(text.TakeLast(Context));
            double[] p = Attention.Softmax([.. model.Forward(tokens, tokens.Length).TakeLast(Letters.Length).Select(v => v / temperature)]);
            double left = random.NextDouble();
            text += Letters[Range(0, p.Length).First(v => (left -= p[v]) < 0 || v == p.Length - 1)];
        }
        return text;
    }

    private static int[] Encode(IEnumerable<char> text) => [.. text.Select(letter => Array.IndexOf(Letters, letter))];
    private static void Main()
    {
        Model model = Create(seed: 1);
        foreach ((int step, double loss) in Range(0, Steps).Select(step => Train(model, step)).Index())
            if (step % 10 == 0 || step == Steps - 1) Console.WriteLine($"step {step,3}  loss {loss:F4}");
        Console.WriteLine(Sample(model, "The w", 120, 0.5, new Random(1)));
    }
}
