using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Orthogonalisation as it is written in books: the polynomials applied to the matrix itself, in double.</summary>
internal static unsafe class ReferenceOrthogonal
{
    /// <summary>As <see cref="OrthogonalKernel.Orthogonalise"/>: X = a X + X (b G + c G²) with G = X' X, for each polynomial.</summary>
    public static double[] Orthogonalise(int rows, int columns, double[] x)
    {
        double[] gram = Gram();
        double bound = Math.Sqrt(Math.Sqrt(gram.Sum(value => value * value)));
        if (bound == 0) return x;
        x = [.. x.Select(value => value / bound)];
        for (int i = 0; i < OrthogonalKernel.Polynomials.Length; i += 3)
        {
            (double a, double b, double c) = (OrthogonalKernel.Polynomials[i], OrthogonalKernel.Polynomials[i + 1], OrthogonalKernel.Polynomials[i + 2]);
            gram = Gram();
            double[] square = Multiply(columns, gram, gram);
            double[] change = Multiply(rows, x, [.. gram.Select((value, at) => (b * value) + (c * square[at]))]);
            x = [.. x.Select((value, at) => (a * value) + change[at])];
        }

        return x;

        double[] Gram()
        {
            double[] product = new double[columns * columns];
            fixed (double* from = x, to = product) ReferenceGemm.Multiply(columns, columns, rows, from, 1, columns, from, columns, to, columns, false);
            return product;
        }

        double[] Multiply(int height, double[] left, double[] right)
        {
            double[] product = new double[height * columns];
            fixed (double* a = left, b = right, c = product) ReferenceGemm.Multiply(height, columns, columns, a, columns, 1, b, columns, c, columns, false);
            return product;
        }
    }
}
