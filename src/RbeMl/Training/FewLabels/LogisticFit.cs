using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>A linear classifier of rows: logits = W x + b.</summary>
/// <param name="Weight">[C, D].</param>
/// <param name="Bias">[C].</param>
internal sealed record LinearClassifier(float[] Weight, float[] Bias);

/// <summary>
/// Multinomial logistic regression of labels on rows: the least mean cross-entropy and penalty / (2 N) |W|². Rows are centred and scaled to a mean
/// square length of 1 first, so that a penalty means the same for all models. Letters: N rows, D features, C classes.
/// </summary>
internal sealed unsafe class LogisticFit
{
    // The gradient's norm at the end, and what of the penalty the biases get: a class without examples must not drift away for ever.
    private const double Tolerance = 1e-4, BiasShare = 1e-3;

    private readonly int _count, _features, _classes;
    private readonly int[] _labels;
    private readonly double[] _mean;
    private readonly double _scale;
    private readonly float[] _rows, _columns, _weight, _logits, _weightGradient;

    /// <summary>Prepares a fit.</summary>
    /// <param name="rows">[N, D].</param>
    /// <param name="features">D.</param>
    /// <param name="labels">[N].</param>
    /// <param name="classes">C.</param>
    public LogisticFit(ReadOnlySpan<float> rows, int features, int[] labels, int classes)
    {
        (_count, _features, _classes, _labels) = (labels.Length, features, classes, labels);
        _mean = new double[features];
        for (int i = 0; i < rows.Length; i++) _mean[i % features] += rows[i] / (double)_count;
        double square = 0;
        for (int i = 0; i < rows.Length; i++) square += Math.Pow(rows[i] - _mean[i % features], 2);
        _scale = square > 0 ? Math.Sqrt(_count / square) : 1;
        _rows = new float[rows.Length];
        _columns = new float[rows.Length];
        for (int i = 0; i < rows.Length; i++)
        {
            _rows[i] = (float)((rows[i] - _mean[i % features]) * _scale);
            _columns[((i % features) * _count) + (i / features)] = _rows[i];
        }

        _weight = new float[classes * features];
        _weightGradient = new float[_weight.Length];
        _logits = new float[classes * _count];
        Point = new double[_weight.Length + classes];
    }

    /// <summary>[C, D] then [C]: where the next fit begins, and the last one ended.</summary>
    public double[] Point { get; }

    /// <summary>Fits, beginning where the last fit ended.</summary>
    /// <param name="penalty">The penalty.</param>
    /// <param name="cancel">Ends the work.</param>
    public LinearClassifier Fit(double penalty, CancellationToken cancel = default)
    {
        Lbfgs.Minimize((x, gradient) => Loss(x, gradient, penalty / _count), Point, Tolerance, cancel);
        float[] weight = new float[_weight.Length], bias = new float[_classes];
        for (int c = 0; c < _classes; c++)
        {
            double shift = Point[_weight.Length + c];
            for (int f = 0; f < _features; f++)
            {
                double w = Point[(c * _features) + f] * _scale;
                weight[(c * _features) + f] = (float)w;
                shift -= w * _mean[f];
            }

            bias[c] = (float)shift;
        }

        return new LinearClassifier(weight, bias);
    }

    /// <summary>Sum of the cross-entropies, in nats, and number of right answers of a classifier on rows.</summary>
    public static (double Loss, int Right) Score(LinearClassifier head, ReadOnlySpan<float> rows, int features, ReadOnlySpan<int> labels)
    {
        int classes = head.Bias.Length, right = 0;
        float[] logits = new float[classes];
        double sum = 0;
        fixed (float* x = rows, w = head.Weight, b = head.Bias, l = logits)
        {
            for (int i = 0; i < labels.Length; i++)
            {
                ClassifierHead.Logits(x + ((long)i * features), w, b, l, features, classes);
                sum += ClassifierHead.Loss(l, classes, labels[i]);
                int best = 0;
                for (int c = 1; c < classes; c++) best = logits[c] > logits[best] ? c : best;
                if (best == labels[i]) right++;
            }
        }

        return (sum, right);
    }

    private double Loss(double[] point, double[] gradient, double penalty)
    {
        for (int i = 0; i < _weight.Length; i++) _weight[i] = (float)point[i];
        double sum = 0;
        fixed (float* weight = _weight, rows = _rows, columns = _columns, logits = _logits, slopes = _weightGradient)
        {
            Gemm.Multiply(_classes, _count, _features, weight, _features, 1, columns, _count, logits, _count, accumulate: false);
            for (int i = 0; i < _count; i++) sum += RowLoss(point, logits + i, _labels[i]);
            Gemm.Multiply(_classes, _features, _count, logits, _count, 1, rows, _features, slopes, _features, accumulate: false);
            for (int c = 0; c < _classes; c++)
            {
                double own = 0;
                for (int i = 0; i < _count; i++) own += logits[(c * _count) + i];
                gradient[_weight.Length + c] = own;
            }
        }

        double loss = sum / _count;
        for (int i = 0; i < point.Length; i++)
        {
            double own = i < _weight.Length ? penalty : penalty * BiasShare;
            loss += own / 2 * point[i] * point[i];
            gradient[i] = (i < _weight.Length ? _weightGradient[i] : gradient[i]) + (own * point[i]);
        }

        return loss;
    }

    // A row's loss; its logits, N apart, become the mean loss's gradients.
    private double RowLoss(double[] point, float* logits, int label)
    {
        double most = double.NegativeInfinity, sum = 0, own = 0;
        for (int c = 0; c < _classes; c++)
        {
            double logit = logits[(long)c * _count] + point[_weight.Length + c];
            most = Math.Max(most, logit);
            if (c == label) own = logit;
        }

        for (int c = 0; c < _classes; c++) sum += Math.Exp(logits[(long)c * _count] + point[_weight.Length + c] - most);
        for (int c = 0; c < _classes; c++)
        {
            double probability = Math.Exp(logits[(long)c * _count] + point[_weight.Length + c] - most) / sum;
            logits[(long)c * _count] = (float)((probability - (c == label ? 1 : 0)) / _count);
        }

        return most + Math.Log(sum) - own;
    }
}
