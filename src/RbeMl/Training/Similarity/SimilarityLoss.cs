using System.Numerics;

namespace RbeMl.Training;

/// <summary>What a training of similarities makes smaller.</summary>
public enum SimilarityLoss
{
    /// <summary>The squared difference of a pair's cosine and its target.</summary>
    Cosine,

    /// <summary>
    /// The cross-entropy of finding a text's partners among all texts of the batch by cosine over temperature (InfoNCE). Partners are the two of a
    /// pair, or texts of one label.
    /// </summary>
    Contrastive,
}

/// <summary>
/// Losses over the unit rows u of a batch, and their gradients: of the whole batch at once, as rows depend on each other. Plain loops in a fixed order,
/// a row a piece of work. Letters: R rows, D features.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="units">[R, D].</param>
/// <param name="rows">R.</param>
/// <param name="features">D.</param>
/// <param name="temperature">Of the contrastive loss.</param>
internal readonly unsafe struct SimilarityRows<T>(T* units, int rows, int features, double temperature)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Mean over the pairs, rows 2p and 2p + 1, of (u . v - target)².</summary>
    /// <param name="targets">[R / 2].</param>
    /// <param name="losses">[R], written; the loss of a pair stands at its first row, 0 at the second.</param>
    /// <param name="slopes">[R], written: the loss by u . v, at both rows.</param>
    /// <returns>What the losses must be divided by.</returns>
    public int Cosine(float* targets, double* losses, double* slopes)
    {
        int pairs = rows / 2;
        for (int p = 0; p < pairs; p++)
        {
            double error = double.CreateTruncating(UnitRow.Dot(Row(2 * p), Row((2 * p) + 1), features)) - targets[p];
            (losses[2 * p], losses[(2 * p) + 1]) = (error * error, 0);
            slopes[2 * p] = slopes[(2 * p) + 1] = 2 * error / pairs;
        }

        return pairs;
    }

    /// <summary>The gradient of a row under the cosine loss.</summary>
    /// <param name="row">Its place.</param>
    /// <param name="slopes">Of <see cref="Cosine"/>.</param>
    /// <param name="gradient">[D], written.</param>
    public void CosineGradient(int row, double* slopes, T* gradient)
    {
        T slope = T.CreateTruncating(slopes[row]);
        T* other = Row(row ^ 1);
        for (int f = 0; f < features; f++) gradient[f] = slope * other[f];
    }

    /// <summary>Rows that have a partner: as many losses count.</summary>
    public int WithPartner(int* groups)
    {
        int count = 0;
        for (int row = 0; row < rows; row++) count += Partners(row, groups) > 0 ? 1 : 0;
        return count;
    }

    /// <summary>
    /// ln(sum over the others j of exp(s_j)) - mean over the partners p of s_p, with s_j = u . u_j / temperature; 0 without partners.
    /// </summary>
    /// <param name="row">Its place.</param>
    /// <param name="groups">[R]; rows of one group are partners.</param>
    /// <param name="counted">Rows that have a partner.</param>
    /// <param name="slopes">[R] of this row, written: the mean loss by s_j; it holds s_j in between.</param>
    public double Contrastive(int row, int* groups, int counted, double* slopes)
    {
        int partners = Partners(row, groups);
        if (partners == 0)
        {
            new Span<double>(slopes, rows).Clear();
            return 0;
        }

        double most = double.NegativeInfinity, sum = 0, found = 0;
        for (int j = 0; j < rows; j++)
        {
            if (j == row) continue;
            slopes[j] = double.CreateTruncating(UnitRow.Dot(Row(row), Row(j), features)) / temperature;
            most = Math.Max(most, slopes[j]);
            if (groups[j] == groups[row]) found += slopes[j];
        }

        for (int j = 0; j < rows; j++) sum += j == row ? 0 : Math.Exp(slopes[j] - most);
        double logSum = most + Math.Log(sum);
        for (int j = 0; j < rows; j++)
        {
            double wanted = groups[j] == groups[row] ? 1.0 / partners : 0;
            slopes[j] = j == row ? 0 : (Math.Exp(slopes[j] - logSum) - wanted) / counted;
        }

        return logSum - (found / partners);
    }

    /// <summary>The gradient of a row under the contrastive loss: it looks for its partners, and others find it.</summary>
    /// <param name="row">Its place.</param>
    /// <param name="slopes">[R, R], of all rows.</param>
    /// <param name="gradient">[D], written.</param>
    public void ContrastiveGradient(int row, double* slopes, T* gradient)
    {
        new Span<T>(gradient, features).Clear();
        for (int j = 0; j < rows; j++)
        {
            double slope = (slopes[((long)row * rows) + j] + slopes[((long)j * rows) + row]) / temperature;
            if (slope == 0) continue;
            T factor = T.CreateTruncating(slope);
            T* other = Row(j);
            for (int f = 0; f < features; f++) gradient[f] += factor * other[f];
        }
    }

    private T* Row(int row) => units + ((long)row * features);

    private int Partners(int row, int* groups)
    {
        int count = -1;
        for (int j = 0; j < rows; j++) count += groups[j] == groups[row] ? 1 : 0;
        return count;
    }
}
