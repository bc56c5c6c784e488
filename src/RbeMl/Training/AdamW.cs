using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// AdamW over a flat parameter vector (Loshchilov and Hutter, "Decoupled weight decay regularization"): two moment vectors of the same layout, decay of
/// coefficients, alphas and embeddings but not of biases and LayerNorm. Alpha gradients can first be multiplied by the inverse Gram matrix of the basis
/// functions, which makes the step independent of how far from orthogonal those are.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class AdamW<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Piece = 1 << 14;
    private readonly ParameterVector<T> _parameters;
    private readonly ParameterVector<T> _first;
    private readonly ParameterVector<T> _second;
    private readonly TrainerOptions _options;
    private readonly double[]?[] _inverseGrams;
    private readonly (int Slice, long Offset, int Length)[] _pieces;

    private readonly bool[] _trained;

    /// <summary>Creates an optimiser with zero moments.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="options">Rates, decay, clipping.</param>
    /// <param name="trained">Whether a slice is trained; the others stay as they are and do not count in the norm. Null trains all.</param>
    public AdamW(ParameterVector<T> parameters, TrainerOptions options, Func<ParameterSlice, bool>? trained = null)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(options);
        _parameters = parameters;
        _options = options.Validate();
        _first = parameters.CreateLike();
        _second = parameters.CreateLike();
        _trained = [.. parameters.Slices.Select(s => trained?.Invoke(s) ?? true)];
        _inverseGrams = [.. parameters.Slices.Select((s, i) => s.Gram is { } gram && options.PreconditionAlphas && _trained[i] ? Preconditioner(gram) : null)];
        _pieces = [.. parameters.Slices.SelectMany((s, i) => Enumerable.Range(0, _trained[i] ? (s.Length + Piece - 1) / Piece : 0).Select(p => (i, s.Offset + ((long)p * Piece), Math.Min(Piece, s.Length - (p * Piece)))))];
    }

    /// <summary>Steps done.</summary>
    public int Steps { get; private set; }

    /// <summary>First and second moments, of the parameters' layout.</summary>
    public (ParameterVector<T> First, ParameterVector<T> Second) Moments => (_first, _second);

    /// <summary>One step.</summary>
    /// <param name="gradients">Gradients; alpha gradients are overwritten by the preconditioned ones.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="team">Threads.</param>
    /// <returns>Global norm of the gradient (before preconditioning and clipping).</returns>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN or infinite; its slice is named, and nothing is changed.</exception>
    public double Step(ParameterVector<T> gradients, double rateFactor, ThreadTeam team)
    {
        double norm = GradientNorm(gradients);
        Step(gradients, rateFactor, team, norm);
        return norm;
    }

    /// <summary>Global norm of the gradients of what is trained.</summary>
    /// <param name="gradients">Gradients.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN or infinite; its slice is named.</exception>
    public double GradientNorm(ParameterVector<T> gradients)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        _parameters.RequireLayout("optimizer", gradients);
        double norm = Norm(gradients, _trained);
        return double.IsFinite(norm) ? norm : throw FindNonFinite(gradients);
    }

    /// <summary>One step of a part of what is clipped together.</summary>
    /// <param name="gradients">Gradients; alpha gradients are overwritten by the preconditioned ones.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="team">Threads.</param>
    /// <param name="norm">Norm of all parts together: the root of the sum of the squares of their <see cref="GradientNorm"/>.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    public void Step(ParameterVector<T> gradients, double rateFactor, ThreadTeam team, double norm)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(team);
        _parameters.RequireLayout("optimizer", gradients);
        double scale = _options.Clip > 0 && norm > _options.Clip ? _options.Clip / norm : 1;
        for (int s = 0; s < _inverseGrams.Length; s++)
        {
            if (_inverseGrams[s] is { } inverse) Precondition(gradients.Of(_parameters.Slices[s]), inverse);
        }

        Steps++;
        StepWork work = new(this, gradients, rateFactor, scale, 1 - Math.Pow(_options.Beta1, Steps), 1 - Math.Pow(_options.Beta2, Steps));
        team.For(_pieces.Length, ref work);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }

    internal static double Norm(ParameterVector<T> vector, bool[]? counted = null)
    {
        double sum = 0;
        for (int i = 0; i < vector.Slices.Count; i++)
        {
            if (counted is not null && !counted[i]) continue;
            ParameterSlice slice = vector.Slices[i];
            sum += OptimizerKernel.SumOfSquares(vector.At(slice), slice.Length);
        }

        return Math.Sqrt(sum);
    }

    private static NonFiniteException FindNonFinite(ParameterVector<T> gradients)
    {
        foreach (ParameterSlice slice in gradients.Slices)
        {
            Span<T> values = gradients.Of(slice);
            for (int i = 0; i < values.Length; i++)
            {
                if (!T.IsFinite(values[i])) return new NonFiniteException($"gradient of {slice.Name}", $"{values[i]} at element {i}. Lower the learning rate or clip the gradient.");
            }
        }

        return new NonFiniteException("gradient", "its norm overflows while every element is finite. Lower the learning rate or clip the gradient.");
    }

    // Inverse of the Gram matrix, normalised to a unit mean diagonal of the Gram matrix and damped a little, as its condition number is 2e4.
    private static double[] Preconditioner(double[] gram)
    {
        const int n = 8;
        double mean = 0;
        for (int k = 0; k < n; k++) mean += gram[(k * n) + k] / n;
        double[,] a = new double[n, 2 * n];
        for (int r = 0; r < n; r++)
        {
            for (int c = 0; c < n; c++) a[r, c] = (gram[(r * n) + c] / mean) + (r == c ? 1e-3 : 0);
            a[r, n + r] = 1;
        }

        // Gauss-Jordan; the matrix is symmetric and positive definite, so no pivoting is needed.
        for (int p = 0; p < n; p++)
        {
            double pivot = 1 / a[p, p];
            for (int c = 0; c < 2 * n; c++) a[p, c] *= pivot;
            for (int r = 0; r < n; r++)
            {
                double factor = a[r, p];
                if (r == p || factor == 0) continue;
                for (int c = 0; c < 2 * n; c++) a[r, c] -= factor * a[p, c];
            }
        }

        double[] inverse = new double[n * n];
        for (int r = 0; r < n; r++)
        {
            for (int c = 0; c < n; c++) inverse[(r * n) + c] = a[r, n + c];
        }

        return inverse;
    }

    private static void Precondition(Span<T> gradient, double[] inverse)
    {
        Span<double> g = stackalloc double[8];
        for (int tile = 0; tile < gradient.Length; tile += 8)
        {
            for (int k = 0; k < 8; k++) g[k] = double.CreateTruncating(gradient[tile + k]);
            for (int k = 0; k < 8; k++)
            {
                double sum = 0;
                for (int l = 0; l < 8; l++) sum += inverse[(k * 8) + l] * g[l];
                gradient[tile + k] = T.CreateTruncating(sum);
            }
        }
    }

    private void StepPiece(int item, ParameterVector<T> gradients, double rateFactor, double scale, double correction1, double correction2)
    {
        (int s, long offset, int length) = _pieces[item];
        ParameterSlice slice = _parameters.Slices[s];
        double rate = rateFactor * (slice.Kind, _options.CoefficientLearningRate) switch
        {
            (ParameterKind.Coefficient, { } own) => own,
            (ParameterKind.Alpha, { } own) => own / Math.Sqrt(slice.Gram![0]), // Gram[0] = <1, 1> = B²
            _ => _options.LearningRate * slice.RateScale,
        };
        double decay = slice.Kind is ParameterKind.Bias or ParameterKind.LayerNorm ? 0 : _options.WeightDecay;
        OptimizerKernel.AdamW(
            _parameters.Pointer + offset, gradients.Pointer + offset, _first.Pointer + offset, _second.Pointer + offset, length,
            T.CreateTruncating(rate), T.CreateTruncating(decay), T.CreateTruncating(_options.Beta1), T.CreateTruncating(_options.Beta2),
            T.CreateTruncating(_options.Epsilon), T.CreateTruncating(correction1), T.CreateTruncating(correction2), T.CreateTruncating(scale));
    }

    private readonly struct StepWork(AdamW<T> optimizer, ParameterVector<T> gradients, double rateFactor, double scale, double correction1, double correction2) : IParallelWork
    {
        public void Execute(int item, int worker) => optimizer.StepPiece(item, gradients, rateFactor, scale, correction1, correction2);
    }
}
