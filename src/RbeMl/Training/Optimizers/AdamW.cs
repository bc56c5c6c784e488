using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// AdamW over a flat parameter vector (Loshchilov and Hutter, "Decoupled weight decay regularization"): two moment vectors of the same layout, decay of
/// coefficients, alphas and embeddings but not of biases and LayerNorm. Alpha gradients can first be multiplied by the inverse Gram matrix of the basis
/// functions, which makes the step independent of how far from orthogonal those are. A step is two passes, which threads share: one over the gradients for
/// their norm, which also finds what is not finite, and one that preconditions, clips, moves moments and weights, and leaves zero gradients for the next
/// backward. Weights need no packing: the kernels read them where they are.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class AdamW<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Piece = 1 << 14; // elements of an item; fixed, so that sums are the same for any number of threads

    // The largest gradient whose square the second moment can hold; half of that root leaves room for roundings.
    private static readonly double s_largest = Math.Sqrt(typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue) / 2;
    private readonly ParameterVector<T> _parameters;
    private readonly ParameterVector<T> _first;
    private readonly ParameterVector<T> _second;
    private readonly TrainerOptions _options;
    private readonly double[]?[] _inverseGrams;
    private readonly double[] _gains; // of a slice: the most that preconditioning makes of the largest gradient
    private readonly double _largestGain;
    private readonly (int Slice, long Offset, int Length)[] _pieces;
    private readonly double[] _sums;
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
        Lease = new Lease(this);
        _options = options.Validate();
        _first = parameters.CreateLike();
        _second = parameters.CreateLike();
        _trained = [.. parameters.Slices.Select(s => trained?.Invoke(s) ?? true)];
        _inverseGrams = [.. parameters.Slices.Select((s, i) => s.Gram is { } gram && options.PreconditionAlphas && _trained[i] ? Preconditioner(gram) : null)];
        _gains = [.. _inverseGrams.Select(inverse => inverse is null ? 1 : Gain(inverse))];
        _largestGain = _gains.DefaultIfEmpty(1).Max();
        _pieces = [.. parameters.Slices.SelectMany((s, i) => Enumerable.Range(0, _trained[i] ? (s.Length + Piece - 1) / Piece : 0).Select(p => (i, s.Offset + ((long)p * Piece), Math.Min(Piece, s.Length - (p * Piece)))))];
        _sums = new double[_pieces.Length];
    }

    /// <summary>Steps done.</summary>
    public int Steps { get; private set; }

    internal Lease Lease { get; }

    /// <summary>First and second moments, of the parameters' layout.</summary>
    public (ParameterVector<T> First, ParameterVector<T> Second) Moments => (_first, _second);

    /// <summary>One step.</summary>
    /// <param name="gradients">Gradients; those of what is trained are zero afterwards.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="team">Threads.</param>
    /// <returns>Global norm of the gradient (before preconditioning and clipping).</returns>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN, infinite, or too large for its square; its slice is named, and nothing is changed.</exception>
    public double Step(ParameterVector<T> gradients, double rateFactor, ThreadTeam team)
    {
        double norm = GradientNorm(gradients, team);
        Step(gradients, rateFactor, team, norm);
        return norm;
    }

    /// <summary>Global norm of the gradients of what is trained.</summary>
    /// <param name="gradients">Gradients.</param>
    /// <param name="team">Threads; the result is the same for any number.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    /// <exception cref="NonFiniteException">A gradient is NaN or infinite; its slice is named.</exception>
    /// <exception cref="ConcurrentUseException">Another step is under way.</exception>
    public double GradientNorm(ParameterVector<T> gradients, ThreadTeam team)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(team);
        _parameters.RequireLayout("optimizer", gradients);
        using Hold sums = gradients.Lease.Share(), own = Lease.Claim();
        NormWork squares = new(this, gradients);
        team.For(_pieces.Length, ref squares);
        double sum = 0;
        foreach (double piece in _sums) sum += piece;
        double norm = Math.Sqrt(sum);
        return double.IsFinite(norm) ? norm : throw FindNonFinite(gradients);
    }

    /// <summary>One step of a part of what is clipped together.</summary>
    /// <param name="gradients">Gradients; those of what is trained are zero afterwards.</param>
    /// <param name="rateFactor">Factor of the highest learning rates, from the schedule.</param>
    /// <param name="team">Threads.</param>
    /// <param name="norm">Norm of all parts together: the root of the sum of the squares of their <see cref="GradientNorm"/>.</param>
    /// <exception cref="ShapeMismatchException">The gradients are not of the parameters' layout.</exception>
    /// <exception cref="NonFiniteException">The square of a gradient, clipped and preconditioned, overflows; its slice is named, and nothing is changed.</exception>
    public void Step(ParameterVector<T> gradients, double rateFactor, ThreadTeam team, double norm)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(team);
        _parameters.RequireLayout("optimizer", gradients);
        if (!(rateFactor >= 0 && double.IsFinite(rateFactor))) throw new InvalidSettingException(nameof(rateFactor), rateFactor, "use a factor of the learning rate, 0 or more.");
        if (!(norm >= 0 && double.IsFinite(norm))) throw new InvalidSettingException(nameof(norm), norm, "pass the norm that GradientNorm gives.");
        RequireSquares(gradients, norm);
        using Hold values = _parameters.Lease.Share(), sums = gradients.Lease.Share(), first = _first.Lease.Share(), second = _second.Lease.Share(), own = Lease.Claim();
        double scale = Scale(norm);
        Steps++;
        StepWork work = new(this, gradients, rateFactor, scale, 1 - Math.Pow(_options.Beta1, Steps), 1 - Math.Pow(_options.Beta2, Steps));
        team.For(_pieces.Length, ref work);
    }

    /// <summary>Frees the moments, after the step that is using them.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        _first.Dispose();
        _second.Dispose();
    }

    /// <summary>
    /// Requires the second moment to hold the square of every gradient: an infinite one would keep its weight where it is for good. Costs nothing where the norm
    /// is small enough for all of them.
    /// </summary>
    /// <param name="gradients">Gradients.</param>
    /// <param name="norm">Norm of all parts together.</param>
    /// <exception cref="NonFiniteException">One is too large; its slice is named.</exception>
    internal void RequireSquares(ParameterVector<T> gradients, double norm)
    {
        using Hold sums = gradients.Lease.Share();
        double scale = Scale(norm);
        if (norm * scale * _largestGain <= s_largest) return;
        for (int s = 0; s < _trained.Length; s++)
        {
            if (!_trained[s]) continue;
            ParameterSlice slice = gradients.Slices[s];
            Span<T> values = gradients.Of(slice);
            for (int i = 0; i < values.Length; i++)
            {
                if (!(Math.Abs(double.CreateTruncating(values[i])) * scale * _gains[s] <= s_largest))
                {
                    throw new NonFiniteException($"gradient of {slice.Name}", FormattableString.Invariant($"{values[i]} at element {i}, whose square overflows. Clip the gradient (Clip) or lower the learning rate."));
                }
            }
        }
    }

    // Factor that clips the gradient.
    private double Scale(double norm) => _options.Clip > 0 && norm > _options.Clip ? _options.Clip / norm : 1;

    private NonFiniteException FindNonFinite(ParameterVector<T> gradients)
    {
        for (int s = 0; s < _trained.Length; s++)
        {
            if (!_trained[s]) continue;
            ParameterSlice slice = gradients.Slices[s];
            Span<T> values = gradients.Of(slice);
            for (int i = 0; i < values.Length; i++)
            {
                if (!T.IsFinite(values[i])) return new NonFiniteException($"gradient of {slice.Name}", $"{values[i]} at element {i}. Lower the learning rate or clip the gradient.");
            }
        }

        return new NonFiniteException("gradient", "its norm overflows while every element is finite. Lower the learning rate or clip the gradient.");
    }

    // Inverse of the Gram matrix, normalised to a unit mean diagonal of the Gram matrix and damped a little, as its condition number is 2e4; column by column.
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
            for (int c = 0; c < n; c++) inverse[(c * n) + r] = a[r, n + c];
        }

        return inverse;
    }

    // The largest sum of absolute values of a row; the matrix is symmetric, so of a column.
    private static double Gain(double[] inverse) => inverse.Chunk(8).Max(column => column.Sum(Math.Abs));

    // Eight alphas a tile: a vector of doubles, whatever the machine's width. Clips at once, as what is not clipped yet may be too large for T.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Precondition(T* gradient, int length, double[] inverse, double scale)
    {
        T* end = gradient + length;
        fixed (double* columns = inverse)
        {
            for (; gradient < end; gradient += 8)
            {
                Vector512<double> sum = Vector512<double>.Zero;
                for (int l = 0; l < 8; l++) sum += Vector512.Load(columns + (8 * l)) * double.CreateTruncating(gradient[l]);
                sum *= scale;
                for (int k = 0; k < 8; k++) gradient[k] = T.CreateTruncating(sum[k]);
            }
        }
    }

    // Compiled in full at once: the first, quick version of generic arithmetic allocates.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
        if (_inverseGrams[s] is { } inverse)
        {
            Precondition(gradients.Pointer + offset, length, inverse, scale);
            scale = 1;
        }

        double decay = slice.Kind is ParameterKind.Bias or ParameterKind.LayerNorm ? 0 : _options.WeightDecay;
        OptimizerKernel.AdamW(
            _parameters.Pointer + offset, gradients.Pointer + offset, _first.Pointer + offset, _second.Pointer + offset, length,
            T.CreateTruncating(rate), T.CreateTruncating(decay), T.CreateTruncating(_options.Beta1), T.CreateTruncating(_options.Beta2),
            T.CreateTruncating(_options.Epsilon), T.CreateTruncating(correction1), T.CreateTruncating(correction2), T.CreateTruncating(scale));
    }

    private readonly struct NormWork(AdamW<T> optimizer, ParameterVector<T> gradients) : IParallelWork
    {
        public void Execute(int item, int worker) => optimizer._sums[item] = OptimizerKernel.SumOfSquares(gradients.Pointer + optimizer._pieces[item].Offset, optimizer._pieces[item].Length);
    }

    private readonly struct StepWork(AdamW<T> optimizer, ParameterVector<T> gradients, double rateFactor, double scale, double correction1, double correction2) : IParallelWork
    {
        public void Execute(int item, int worker) => optimizer.StepPiece(item, gradients, rateFactor, scale, correction1, correction2);
    }
}
