using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class ElementwiseTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Add_has_the_bits_of_the_reference(int lanes)
    {
        for (int count = 0; count <= 257; count++)
        {
            using GuardedBuffer<float> a = LaneCases.Guarded(Numbers.Normal(count, 1)), b = LaneCases.Guarded(Numbers.Normal(count, 2)), y = new(count);
            float[] expected = new float[count];
            fixed (float* p = expected) ReferenceElementwise.Add(a.Pointer, b.Pointer, p, count);
            Wide.Run(lanes, new ElementwiseLanes.AddWork(a.Pointer, b.Pointer, y.Pointer, count));
            Assert.Equal(expected, y.Span);
            y.Span.Clear();
            Elementwise.Add(a.Pointer, b.Pointer, y.Pointer, count);
            Assert.Equal(expected, y.Span);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Bias_and_row_sums_match_the_reference_at_every_width(int lanes)
    {
        const int Rows = 19; // whole vectors of rows and some more
        for (int width = 0; width <= 257; width++)
        {
            float[] data = Numbers.Normal(Rows * width, 1), bias = Numbers.Normal(Rows, 2), biased = [.. data];
            double[] sums = new double[Rows];
            fixed (float* p = biased, b = bias) ReferenceElementwise.AddBias(p, b, Rows, width);
            fixed (double* p = LaneCases.Doubles(data), s = sums) ReferenceElementwise.RowSums(p, Rows, width, s);
            using GuardedBuffer<float> y = LaneCases.Guarded(data), b2 = LaneCases.Guarded(bias), total = new(Rows);
            Wide.Run(lanes, new ElementwiseLanes.RowSumsWork(y.Pointer, Rows, width, total.Pointer));

            // One rounding for each term, of partial sums no larger than the sum of the absolute values.
            double size = data.Sum(v => Math.Abs((double)v));
            LaneCases.Close(sums, total.Span, i => width * LaneCases.Rounding * size, FormattableString.Invariant($"{lanes} lanes, width {width}"));
            Wide.Run(lanes, new ElementwiseLanes.AddBiasWork(y.Pointer, b2.Pointer, Rows, width));
            Assert.Equal(biased, y.Span);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Rows_are_copied_and_nothing_beside_them(int lanes)
    {
        const int Rows = 3, From = 71, To = 80;
        for (int count = 0; count <= 67; count++)
        {
            float[] data = Numbers.Normal(Rows * From, 1), expected = Numbers.Normal(Rows * To, 2);
            using GuardedBuffer<float> x = LaneCases.Guarded(data), y = LaneCases.Guarded(expected);
            fixed (float* to = expected) ReferenceElementwise.CopyRows(x.Pointer + 4, From, to + 5, To, Rows, count);
            Wide.Run(lanes, new ElementwiseLanes.CopyRowsWork(x.Pointer + 4, From, y.Pointer + 5, To, Rows, count));
            Assert.Equal(expected, y.Span);
        }
    }

    [Fact]
    public void The_public_bias_and_row_sums_match_the_reference()
    {
        float[] data = Numbers.Normal(5 * 64, 1), bias = Numbers.Normal(5, 2), sums = new float[5], expected = [.. data];
        double[] exact = new double[5];
        fixed (float* p = data, b = bias, s = sums, e = expected)
        fixed (double* d = LaneCases.Doubles(data), x = exact)
        {
            Elementwise.RowSums(p, 5, 64, s);
            ReferenceElementwise.RowSums(d, 5, 64, x);
            Elementwise.AddBias(p, b, 5, 64);
            ReferenceElementwise.AddBias(e, b, 5, 64);
        }

        LaneCases.Close(exact, sums, i => 64 * LaneCases.Rounding * 64, "row sums");
        Assert.Equal(expected, data);
    }

    [Fact]
    public void Transpose_has_the_bits_of_the_reference()
    {
        foreach (int rows in new[] { 0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 64, 65 })
        {
            foreach (int columns in new[] { 0, 1, 3, 8, 13, 16, 31, 64, 77 })
            {
                int ldx = columns + 3, ldy = rows + 5;
                using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(rows * columns == 0 ? 0 : (rows - 1) * ldx + columns, 1));
                using GuardedBuffer<float> y = new(rows * columns == 0 ? 0 : (columns - 1) * ldy + rows);
                float[] expected = new float[y.Length];
                fixed (float* p = expected) ReferenceElementwise.Transpose(x.Pointer, rows, columns, ldx, p, ldy);
                Elementwise.Transpose(x.Pointer, rows, columns, ldx, y.Pointer, ldy);
                Assert.Equal(expected, y.Span);
            }
        }
    }
}
