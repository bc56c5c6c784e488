using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// What happens to gradients before any optimiser sees them: their norm, blame for what is not finite or too large, clipping, and the
/// product of the gradients of alphas with the inverse Gram matrix of the basis functions, which makes the step independent of how far from
/// orthogonal those are. Norm and blame take a pass of their own; the rest is done piece by piece, just before the optimiser uses a piece,
/// while that is in cache.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class GradientPass<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly OptimizerShare? _share;
    private readonly double _clip;
    private readonly double[]?[] _inverseGrams;
    private readonly double[] _gains; // of a slice: the most that preconditioning makes of the largest gradient
    private readonly double _largestGain;
    private readonly IReadOnlyList<ParameterSlice> _slices;
    private readonly (int Slice, int First, int Length)[] _pieces;
    private readonly int[] _own; // pieces of this rank
    private readonly double[] _sums;
    private readonly bool[] _trained;

    /// <summary>Prepares the pass.</summary>
    /// <param name="parameters">What the gradients are of.</param>
    /// <param name="options">Clipping and preconditioning.</param>
    /// <param name="trained">Whether a slice is trained; the gradients of others are not looked at. Null trains all.</param>
    /// <param name="share">The pieces of this rank, whose gradients alone it has; null for all.</param>
    public GradientPass(ParameterVector<T> parameters, TrainerOptions options, Func<ParameterSlice, bool>? trained, OptimizerShare? share)
    {
        _share = share;
        _clip = options.Clip;
        _slices = parameters.Slices;
        _trained = [.. parameters.Slices.Select(s => trained?.Invoke(s) ?? true)];
        _inverseGrams = [.. parameters.Slices.Select((s, i) => s.Gram is { } gram && options.PreconditionAlphas && _trained[i] ? Preconditioner(gram) : null)];
        _gains = [.. _inverseGrams.Select(inverse => inverse is null ? 1 : Gain(inverse))];
        _largestGain = _gains.DefaultIfEmpty(1).Max();
        _pieces = GradientPieces.Of(parameters.Slices, trained);
        _sums = new double[_pieces.Length];
        _own = share?.Pieces ?? [.. Enumerable.Range(0, _pieces.Length)];
    }

    /// <summary>Pieces of what is trained: slice, first element in it, elements.</summary>
    public ReadOnlySpan<(int Slice, int First, int Length)> Pieces => _pieces;

    /// <summary>Those that this rank has the gradients of, by their place among all.</summary>
    public ReadOnlySpan<int> Own => _own;

    /// <summary>Requires gradients to have all that is trained.</summary>
    /// <exception cref="ShapeMismatchException">They leave a slice out.</exception>
    public void RequireTrained(ParameterVector<T> gradients)
    {
        for (int s = 0; s < _trained.Length; s++)
        {
            if (!_trained[s] || gradients.Holds(_slices[s])) continue;
            throw new ShapeMismatchException("optimizer: gradients", $"those of all that is trained, as {_slices[s].Name}",
                $"those of {Amount.Of(gradients.Slices.Count, "parameter")} without it", "Make them with Parameters.CreateLike() of the same model.");
        }
    }

    /// <summary>Global norm of the gradients of what is trained.</summary>
    /// <param name="gradients">Gradients, of the parameters' layout.</param>
    /// <param name="workers">Threads; the result is the same for any number.</param>
    /// <exception cref="NonFiniteException">A gradient is NaN or infinite; its slice is named.</exception>
    public double Norm(ParameterVector<T> gradients, WorkerPool workers)
    {
        NormWork squares = new(this, gradients);
        workers.For(_own.Length, ref squares);
        _share?.Gather(_sums);
        double sum = 0;
        foreach (double square in _sums) sum += square;
        double norm = Math.Sqrt(sum);
        if (double.IsFinite(norm)) return norm;
        NonFiniteException? found = FindNonFinite(gradients, out int piece);
        _share?.Agree(found, piece);
        throw found ?? new NonFiniteException("gradient",
            "its norm overflows while every element is finite. Lower the learning rate or clip the gradient.");
    }

    /// <summary>Factor that clips the gradient.</summary>
    /// <param name="norm">Norm of all that is clipped together.</param>
    public double Scale(double norm) => _clip > 0 && norm > _clip ? _clip / norm : 1;

    /// <summary>
    /// Requires what the optimiser gets to be no larger than it can work with. Costs nothing where the norm is small enough for all
    /// gradients.
    /// </summary>
    /// <param name="gradients">Gradients.</param>
    /// <param name="norm">Norm of all parts together.</param>
    /// <param name="largest">Largest gradient, clipped and preconditioned.</param>
    /// <param name="what">What overflows beyond it.</param>
    /// <exception cref="NonFiniteException">One is too large; its slice is named.</exception>
    public void Require(ParameterVector<T> gradients, double norm, double largest, string what)
    {
        double scale = Scale(norm);
        if (norm * scale * _largestGain <= largest) return;
        NonFiniteException? found = FindLarger(gradients, scale, largest, what, out int piece);
        _share?.Agree(found, piece);
        if (found is not null) throw found;
    }

    /// <summary>Preconditions a piece, where its slice is.</summary>
    /// <param name="item">Piece.</param>
    /// <param name="gradients">First of the piece's gradients, changed.</param>
    /// <param name="scale">The factor that clips.</param>
    /// <returns>The factor that the piece must still be multiplied by.</returns>
    public double Precondition(int item, T* gradients, double scale)
    {
        (int s, _, int length) = _pieces[item];
        if (_inverseGrams[s] is not { } inverse) return scale;
        Precondition(gradients, length, inverse, scale);
        return 1;
    }

    private NonFiniteException? FindLarger(ParameterVector<T> gradients, double scale, double largest, string what, out int piece)
    {
        foreach (int own in _own)
        {
            piece = own;
            (int s, int first, int length) = _pieces[own];
            Span<T> values = gradients.Of(_slices[s]).Slice(first, length);
            for (int i = 0; i < length; i++)
            {
                if (Math.Abs(double.CreateTruncating(values[i])) * scale * _gains[s] <= largest) continue;
                string mend = $"{what} overflows. Clip the gradient (Clip) or lower the learning rate.";
                return new NonFiniteException($"gradient of {_slices[s].Name}",
                    FormattableString.Invariant($"{values[i]} at element {first + i}, whose {mend}"));
            }
        }

        piece = 0;
        return null;
    }

    private NonFiniteException? FindNonFinite(ParameterVector<T> gradients, out int piece)
    {
        foreach (int own in _own)
        {
            piece = own;
            (int s, int first, int length) = _pieces[own];
            Span<T> values = gradients.Of(_slices[s]).Slice(first, length);
            for (int i = 0; i < length; i++)
            {
                if (T.IsFinite(values[i])) continue;
                return new NonFiniteException($"gradient of {_slices[s].Name}",
                    $"{values[i]} at element {first + i}. Lower the learning rate or clip the gradient.");
            }
        }

        piece = 0;
        return null;
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

    private readonly struct NormWork(GradientPass<T> pass, ParameterVector<T> gradients) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int piece = pass._own[item];
            (int s, int first, int length) = pass._pieces[piece];
            pass._sums[piece] = OptimizerKernel.SumOfSquares(gradients.At(pass._slices[s]) + first, length);
        }
    }
}
