using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class OrthogonalKernelTests
{
    // Of a singular value, of which the smallest are amplified as the polynomials' product of slopes at 0, and of the Gram matrix's rounding.
    private const double Tolerance = 2e-4;

    [Theory]
    [InlineData(32, 32)]
    [InlineData(64, 64)]
    [InlineData(128, 128)]
    [InlineData(256, 64)]
    [InlineData(96, 33)]
    [InlineData(5, 3)]
    [InlineData(7, 1)]
    public void It_is_the_iteration_of_the_books(int rows, int columns)
    {
        float[] x = Numbers.Normal(rows * columns, rows + columns);
        double[] right = ReferenceOrthogonal.Orthogonalise(rows, columns, LaneCases.Doubles(x));
        double worst = 0;
        float[] fast = Run(rows, columns, x);
        for (int i = 0; i < fast.Length; i++) worst = Math.Max(worst, Math.Abs(right[i] - fast[i]));
        Assert.InRange(worst, 0, Tolerance);

        double[] twin = Run(rows, columns, LaneCases.Doubles(x));
        for (int i = 0; i < twin.Length; i++) Assert.Equal(right[i], twin[i], 1e-11);
    }

    /// <summary>Columns of an orthonormal basis, of lengths from the least to the bound: each must come out with a length near 1.</summary>
    [Fact]
    public void Singular_values_come_near_one()
    {
        const int Rows = 96, Columns = 48;
        double[] lengths = new double[Columns];
        float[] x = new float[Rows * Columns];
        for (int c = 0; c < Columns; c++)
        {
            lengths[c] = Math.Pow(OrthogonalKernel.Least * 1.6, c / (Columns - 1.0));
            for (int r = 0; r < Rows; r++)
            {
                x[(r * Columns) + c] = (float)(lengths[c] * Math.Sqrt(2.0 / Rows) * Math.Cos(Math.PI * (r + 0.5) * (c + 1) / Rows));
            }
        }

        double bound = Math.Pow(lengths.Sum(l => Math.Pow(l, 4)), 0.25);
        float[] y = Run(Rows, Columns, x);
        for (int c = 0; c < Columns; c++)
        {
            double squares = 0, along = 0;
            for (int r = 0; r < Rows; r++)
            {
                squares += Math.Pow(y[(r * Columns) + c], 2);
                along += y[(r * Columns) + c] * (double)x[(r * Columns) + c] / lengths[c];
            }

            if (lengths[c] / bound >= OrthogonalKernel.Least) Assert.InRange(Math.Sqrt(squares), 0.727 - Tolerance, 1.273 + Tolerance);
            else Assert.InRange(Math.Sqrt(squares), 0.4, 0.73); // those below the least grow less
            Assert.InRange(along / Math.Sqrt(squares), 1 - 1e-4, 1 + 1e-6); // in their own direction
        }
    }

    [Fact]
    public void Nothing_stays_nothing() => Assert.All(Run(8, 4, new float[32]), value => Assert.Equal(0, value));

    private static T[] Run<T>(int rows, int columns, T[] x)
        where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        T[] to = new T[x.Length];
        using NativeBuffer<T> scratch = new(OrthogonalKernel.ScratchElements(columns));
        fixed (T* from = x, target = to) OrthogonalKernel.Orthogonalise(rows, columns, from, target, scratch.Pointer);
        return to;
    }
}
