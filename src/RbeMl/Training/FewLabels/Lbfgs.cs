namespace RbeMl.Training;

/// <summary>Minimises a smooth convex function by L-BFGS with halved steps. Plain loops in double, in a fixed order.</summary>
internal static class Lbfgs
{
    // Steps remembered, most steps, and halvings of one.
    private const int Memory = 8, MostSteps = 200, MostHalvings = 30;

    // Of the decrease that the slope promises, what a step must bring (Armijo).
    private const double Decrease = 1e-4;

    /// <summary>A function and its gradient, which is written.</summary>
    public delegate double Function(double[] x, double[] gradient);

    /// <summary>Moves <paramref name="x"/> until the gradient's norm is below the tolerance, or no step makes the function smaller.</summary>
    /// <param name="function">The function.</param>
    /// <param name="x">Where it begins; where it ends is written.</param>
    /// <param name="tolerance">Norm of the gradient to stop at.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <returns>The least value.</returns>
    public static double Minimize(Function function, double[] x, double tolerance, CancellationToken cancel = default)
    {
        double[] gradient = new double[x.Length], next = new double[x.Length], nextGradient = new double[x.Length], direction = new double[x.Length];
        List<(double[] Move, double[] Change, double Inverse)> past = [];
        double value = function(x, gradient);
        for (int step = 0; step < MostSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            double norm = Math.Sqrt(Dot(gradient, gradient));
            if (!(norm > tolerance)) break;
            Direction(gradient, past, direction);
            double slope = Dot(gradient, direction), length = past.Count == 0 ? Math.Min(1, 1 / norm) : 1;
            double found = Search(length, slope);
            if (double.IsNaN(found)) break;
            double[] move = new double[x.Length], change = new double[x.Length];
            for (int i = 0; i < x.Length; i++) (move[i], change[i]) = (next[i] - x[i], nextGradient[i] - gradient[i]);
            double curvature = Dot(move, change);
            if (curvature > 0)
            {
                if (past.Count == Memory) past.RemoveAt(0);
                past.Add((move, change, 1 / curvature));
            }

            next.CopyTo(x, 0);
            nextGradient.CopyTo(gradient, 0);
            value = found;
        }

        return value;

        // The first of the lengths, each half of the one before, that brings enough; NaN when none does.
        double Search(double length, double slope)
        {
            for (int i = 0; i < MostHalvings; i++, length /= 2)
            {
                for (int j = 0; j < x.Length; j++) next[j] = x[j] + (length * direction[j]);
                double tried = function(next, nextGradient);
                if (tried <= value + (Decrease * length * slope)) return tried;
            }

            return double.NaN;
        }
    }

    // - H gradient, H the inverse Hessian as the remembered steps tell it (two-loop recursion).
    private static void Direction(double[] gradient, List<(double[] Move, double[] Change, double Inverse)> past, double[] direction)
    {
        Span<double> factors = stackalloc double[Memory];
        for (int i = 0; i < gradient.Length; i++) direction[i] = -gradient[i];
        for (int k = past.Count - 1; k >= 0; k--)
        {
            factors[k] = past[k].Inverse * Dot(past[k].Move, direction);
            Add(-factors[k], past[k].Change, direction);
        }

        if (past.Count > 0)
        {
            double scale = 1 / (past[^1].Inverse * Dot(past[^1].Change, past[^1].Change));
            for (int i = 0; i < direction.Length; i++) direction[i] *= scale;
        }

        for (int k = 0; k < past.Count; k++) Add(factors[k] - (past[k].Inverse * Dot(past[k].Change, direction)), past[k].Move, direction);
    }

    private static void Add(double factor, double[] x, double[] y)
    {
        for (int i = 0; i < y.Length; i++) y[i] += factor * x[i];
    }

    private static double Dot(double[] x, double[] y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}
